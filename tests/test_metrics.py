"""The numbers: a version's counters go on from one generation to the next."""

from dataclasses import fields
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.histogram import Histogram
from service.metrics import SECONDS, Metrics, ModelMetrics


def exposed(metrics: Metrics) -> dict[str, float]:
    """Every sample of model m, by name and the labels that aren't its model's."""
    found = {}
    for family in metrics.collect():
        for sample in family.samples:
            if sample.labels.get("model") == "m":
                rest = [value for key, value in sorted(sample.labels.items()) if key not in ("model", "version", "le")]
                found[" ".join([sample.name, *rest])] = sample.value
    return found


def test_counters_go_on_and_gauges_tell_of_now() -> None:
    """Two generations that live are summed; of one that has ended only what it counted stays."""
    metrics = Metrics("0")
    old, new = metrics.begin("m", "1"), metrics.begin("m", "1")
    for one, count in ((old, 2), (new, 3)):
        one.requests["http", "ok"] += count
        one.inferences += count
        one.queue_duration.observe_all([0.1] * count)
        one.compute_duration["infer"].observe(float(count))
        one.worker_restarts = {("cpu", "sigkill"): count}
        one.workers_up, one.ready, one.size_bytes = {"cpu": 1}, True, count
        one.pending = partial(int, count)
        one.worker_memory = lambda: 7
    old.info = {"variant": "old"}

    both = exposed(metrics)
    assert (5, 5, 5) == (
        both["hone_requests_total ok http"],
        both["hone_inference_total"],
        both["hone_pending_requests"],
    )
    assert (5, 2) == (both["hone_queue_duration_seconds_count"], both["hone_compute_duration_seconds_count infer"])
    assert (2, 1, 14) == (both["hone_worker_up cpu"], both["hone_model_ready"], both["hone_worker_resident_bytes"])
    assert 2 == both["hone_model_size_bytes"]  # what is being loaded doesn't describe the model yet

    new.info = {"variant": "new"}
    metrics.end("m", "1", old)
    left = exposed(metrics)
    assert (5, 5, 3) == (
        left["hone_requests_total ok http"],
        left["hone_inference_total"],
        left["hone_pending_requests"],
    )
    assert (5, 5) == (left["hone_worker_restarts_total cpu sigkill"], left["hone_queue_duration_seconds_count"])
    assert (1, 1, 7) == (left["hone_worker_up cpu"], left["hone_model_ready"], left["hone_worker_resident_bytes"])
    assert 3 == left["hone_model_size_bytes"]


def test_a_version_without_generations_is_not_exposed() -> None:
    """So the number of series is that of the models that are there, however many have come and gone."""
    metrics = Metrics("0")
    metrics.end("m", "1", metrics.begin("m", "1"))

    assert {} == exposed(metrics)


def test_ten_thousand_generations_leave_nothing_but_their_sum() -> None:
    """However often a version is replaced, its history is as short as after the first time."""
    metrics = Metrics("0")
    numbers = metrics.begin("m", "1")
    for _ in range(10_000):
        numbers.inferences += 1
        numbers, old = metrics.begin("m", "1"), numbers
        metrics.end("m", "1", old)

    assert (10_000, 0) == (exposed(metrics)["hone_inference_total"], exposed(metrics)["hone_worker_resident_bytes"])


def test_every_number_can_be_summed() -> None:
    """Whatever is measured of a generation can be added to that of the one before."""
    total = ModelMetrics().plus(ModelMetrics())
    new = ModelMetrics()

    for each in fields(ModelMetrics):
        if each.name not in ("pending", "sequences", "worker_memory"):
            assert type(getattr(new, each.name)) in (type(getattr(total, each.name)), dict), each.name
    assert (0, 0, 0) == (total.pending(), total.sequences(), total.worker_memory())


@given(st.lists(st.one_of(st.sampled_from(SECONDS), st.floats(0, 20))))
def test_many_observations_at_once_count_as_one_by_one(values: list[float]) -> None:
    """A batch falls into the same buckets as its requests do."""
    together, one_by_one = Histogram(SECONDS), Histogram(SECONDS)
    together.observe_all(values)
    for value in values:
        one_by_one.observe(value)

    assert together.counts == one_by_one.counts
    assert together.total == pytest.approx(one_by_one.total)
