"""Triton's statistics: their form, and that they count what is asked."""

import time
from collections.abc import Callable
from typing import Any

from service.client.conformance.check import extension
from service.client.conformance.expectation import CheckFailed, applies, expect
from service.client.conformance.question import in_binary
from service.client.conformance.refusal import expect_refusal
from service.client.conformance.specification import STATISTICS
from service.client.conformance.target import NOBODY, Target
from service.messages import Tensor

_NAME = "statistics"
_DURATIONS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
_TRIES = 3
"""Others may use the model too, so that more is counted: a count that is right in one of these is right."""
_LATE = 0.25
"""Seconds that a server may take to count an answer that it has sent already."""


@extension("http.statistics.model", STATISTICS, _NAME)
def model(target: Target) -> None:
    """GET v2/models/NAME/stats has model_stats with name, last_inference, inference_count and execution_count."""
    _ = target.baseline
    for one in _stats(target):
        for key in ("last_inference", "inference_count", "execution_count"):
            expect(type(one.get(key)) is int, f"expected {key} to be a number, got {one.get(key)!r}")
        expect(isinstance(one.get("version", ""), str), f"expected version to be a string, got {one.get('version')!r}")


@extension("http.statistics.durations", STATISTICS, _NAME)
def durations(target: Target) -> None:
    """inference_stats has count and ns of success, fail, queue and what computing consists of; batch_stats by size."""
    _ = target.baseline
    for one in _stats(target):
        _expect_durations(one.get("inference_stats"), _DURATIONS, "inference_stats")
        batches = one.get("batch_stats")
        expect(isinstance(batches, list), f"expected batch_stats to be a list, got {batches!r}")
        for batch in batches or []:
            expect(type(batch.get("batch_size")) is int, f"expected batch_size to be a number, got {batch}")
            _expect_durations(batch, _DURATIONS[3:], "batch_stats")


@extension("http.statistics.all-models", STATISTICS, _NAME)
def all_models(target: Target) -> None:
    """GET v2/models/stats has the statistics of all models: here, of this one too."""
    names = [one.get("name") for one in _listed(target, "/v2/models/stats")]
    expect(target.model in names, f"expected {target.model} among them, got {names}")


@extension("http.statistics.unknown-model", STATISTICS, _NAME)
def unknown_model(target: Target) -> None:
    """A failed request is an HTTP error status: here, of a model that doesn't exist."""
    expect_refusal(target.http.get(target.path("/stats", model=NOBODY)), "a model that doesn't exist")


@extension("http.statistics.success", STATISTICS, _NAME)
def success(target: Target) -> None:
    """A request that is answered is one success more, and takes time."""
    _ = target.baseline
    _expect_rise(target, lambda: target.infer(*target.plain()), lambda one: _count(one, "success"), 1, "success.count")
    _expect_more(target, lambda one: one["inference_stats"]["success"]["ns"], "success.ns")


@extension("http.statistics.inferences", STATISTICS, _NAME)
def inferences(target: Target) -> None:
    """inference_count counts rows: one of a request for one row, unless a cache answers it."""
    _ = target.baseline
    rows = _rows(target)
    _expect_rise(target, lambda: target.infer(*target.plain()), _inferences(rows), rows, "inference_count")
    _expect_more(target, lambda one: one["execution_count"], "execution_count")


@extension("http.statistics.rows", STATISTICS, _NAME)
def rows_of_a_batch(target: Target) -> None:
    """A request with two rows raises inference_count by two, and success by one."""
    _ = target.baseline
    applies(target.rows_allowed >= 2 and _rows(target) == 1, "the model takes no batch of two rows")
    inputs = [Tensor(name=one.name, datatype=one.datatype, array=one.array.repeat(2, axis=0)) for one in target.inputs]
    body, headers = in_binary(inputs, {one.name for one in inputs}, **target.extra())
    applies(target.infer(body, headers).status == 200, "the model doesn't take two rows as binary data")
    _expect_rise(target, lambda: target.infer(body, headers), _inferences(2), 2, "inference_count")


@extension("http.statistics.refusals", STATISTICS, _NAME)
def refusals(target: Target) -> None:
    """A request that is refused is no success."""
    _ = target.baseline
    _expect_rise(target, lambda: target.infer(b"{"), lambda one: _count(one, "success"), 0, "success.count")


def _stats(target: Target) -> list[dict[str, Any]]:
    """The statistics of the model, of each version."""
    found = [one for one in _listed(target, target.path("/stats")) if one.get("name") == target.model]
    expect(found, f'expected "model_stats" with the name "{target.model}"')
    return found


def _listed(target: Target, path: str) -> list[dict[str, Any]]:
    found = target.http.get(path).object().get("model_stats")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise CheckFailed(f'expected "model_stats" to be a list of objects, got {str(found)[:160]}')
    return found


def _expect_durations(found: Any, names: tuple[str, ...], what: str) -> None:
    expect(isinstance(found, dict), f"expected {what} to be an object, got {found!r}")
    for name in names:
        one = found.get(name)
        is_duration = isinstance(one, dict) and type(one.get("count")) is int and type(one.get("ns")) is int
        expect(is_duration, f'{what}: expected "{name}" with count and ns as numbers, got {one!r}')


def _expect_rise(
    target: Target, ask: Callable[[], object], count: Callable[[dict[str, Any]], int], by: int, what: str
) -> None:
    """Raise CheckFailed unless `ask` raises the sum over the versions by just so much, in one of a few tries."""
    found = []
    for _ in range(_TRIES):
        before = _sum(target, count)
        ask()
        until = time.monotonic() + _LATE
        while (rise := _sum(target, count) - before) < by and time.monotonic() < until:
            time.sleep(0.05)
        if rise == by:
            return
        found.append(rise)
        if rise < by:
            break
    raise CheckFailed(f"{what}: expected a rise by {by}, got {', '.join(map(str, found))}")


def _expect_more(target: Target, count: Callable[[dict[str, Any]], int], what: str) -> None:
    """Raise CheckFailed unless the count is above 0 after all that was asked."""
    expect(_sum(target, count) > 0, f"{what}: expected more than 0 after requests that were answered")


def _sum(target: Target, count: Callable[[dict[str, Any]], int]) -> int:
    return sum(count(one) for one in _stats(target))


def _count(one: dict[str, Any], name: str) -> int:
    return int(one["inference_stats"][name]["count"])


def _inferences(rows: int) -> Callable[[dict[str, Any]], int]:
    """What inference_count would be without a cache: hits are counted by requests, here of so many rows."""

    def count(one: dict[str, Any]) -> int:
        hits = one["inference_stats"].get("cache_hit") or {}
        return int(one["inference_count"]) + rows * int(hits.get("count", 0))

    return count


def _rows(target: Target) -> int:
    return int(target.inputs[0].array.shape[0]) if target.rows_allowed and target.inputs[0].array.ndim else 1


CHECKS = (model, durations, all_models, unknown_model, success, inferences, rows_of_a_batch, refusals)
