"""The numbers: a version's counters go on from one generation to the next."""

import math
import time
from dataclasses import fields
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from service.exposition import Exposition, registry_of
from service.histogram import Histogram
from service.metrics import OUTCOMES, SECONDS, Metrics, ModelMetrics


def exposed(metrics: Metrics) -> dict[str, float]:
    """Every sample of model m, by name and the labels that aren't its model's."""
    found = {}
    for family in Exposition(metrics).collect():
        for sample in family.samples:
            if sample.labels.get("model") == "m":
                rest = [value for key, value in sorted(sample.labels.items()) if key not in ("model", "version", "le")]
                found[" ".join([sample.name, *rest])] = sample.value
    return found


def test_counters_go_on_and_gauges_tell_of_now() -> None:
    """Two generations that live are summed; of one that has ended only what it counted stays."""
    metrics = Metrics()
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
        one.worker_cpu = partial(dict, cpu=count / 2)
    old.info = {"variant": "old"}

    both = exposed(metrics)
    assert (5, 5, 5) == (
        both["hone_requests_total ok http"],
        both["hone_inference_total"],
        both["hone_pending_requests"],
    )
    assert (5, 2) == (both["hone_queue_duration_seconds_count"], both["hone_compute_duration_seconds_count infer"])
    assert (2, 1, 14) == (both["hone_worker_up cpu"], both["hone_model_ready"], both["hone_worker_resident_bytes"])
    assert 2.5 == both["hone_worker_cpu_seconds_total cpu"]
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
    assert 2.5 == left["hone_worker_cpu_seconds_total cpu"]
    assert 3 == left["hone_model_size_bytes"]


def test_failures_are_counted_from_zero() -> None:
    """All ends of a protocol's requests, once it has had one: a counter that begins with its event has no rate()."""
    metrics = Metrics()
    metrics.begin("m", "1").requests["grpc", "ok"] += 1
    counted = {name: value for name, value in exposed(metrics).items() if name.startswith("hone_requests_total")}

    expected = {f"hone_requests_total {outcome} grpc": float(outcome == "ok") for outcome in OUTCOMES}
    assert expected == counted


def test_the_age_of_a_queue_is_that_of_its_oldest_request() -> None:
    """Whichever generation it waits for; 0 when nobody waits."""
    metrics = Metrics()
    old, new = metrics.begin("m", "1"), metrics.begin("m", "1")
    assert 0 == exposed(metrics)["hone_queue_age_seconds"]

    now = time.monotonic()
    old.waiting_since, new.waiting_since = lambda: now - 60, lambda: now - 1
    assert exposed(metrics)["hone_queue_age_seconds"] >= 60

    metrics.end("m", "1", old)
    assert 1 <= exposed(metrics)["hone_queue_age_seconds"] < 60


def test_a_load_is_told_by_its_time() -> None:
    """When the newest generation took over; nothing before one has."""
    metrics = Metrics()
    old = metrics.begin("m", "1")
    assert "hone_model_loaded_timestamp_seconds" not in exposed(metrics)

    old.loaded_at, new = 1000.0, metrics.begin("m", "1")
    assert 1000 == exposed(metrics)["hone_model_loaded_timestamp_seconds"]
    new.loaded_at = 2000.0
    assert 2000 == exposed(metrics)["hone_model_loaded_timestamp_seconds"]
    metrics.end("m", "1", old)
    assert 2000 == exposed(metrics)["hone_model_loaded_timestamp_seconds"]


def test_a_version_without_generations_is_not_exposed() -> None:
    """So the number of series is that of the models that are there, however many have come and gone."""
    metrics = Metrics()
    metrics.end("m", "1", metrics.begin("m", "1"))

    assert {} == exposed(metrics)


def test_ten_thousand_generations_leave_nothing_but_their_sum() -> None:
    """However often a version is replaced, its history is as short as after the first time."""
    metrics = Metrics()
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
        if each.name not in ("pending", "waiting_since", "sequences", "worker_memory", "worker_cpu"):
            assert type(getattr(new, each.name)) in (type(getattr(total, each.name)), dict), each.name
    assert (0, 0, 0, {}) == (total.pending(), total.sequences(), total.worker_memory(), total.worker_cpu())
    assert math.inf == total.waiting_since()


@given(st.lists(st.one_of(st.sampled_from(SECONDS), st.floats(0, 20))))
def test_many_observations_at_once_count_as_one_by_one(values: list[float]) -> None:
    """A batch falls into the same buckets as its requests do."""
    together, one_by_one = Histogram(SECONDS), Histogram(SECONDS)
    together.observe_all(values)
    for value in values:
        one_by_one.observe(value)

    assert together.counts == one_by_one.counts
    assert together.total == pytest.approx(one_by_one.total)


def test_idle_models_make_no_scrape_long() -> None:
    """Two hundred that nobody asks add some lines each, and no histogram: rendering holds the interpreter."""
    metrics = Metrics()
    before = len(generate_latest(registry_of(metrics)).splitlines())
    for number in range(200):
        metrics.begin(f"m{number}", "1").info = {"variant": "v"}
    after = len(generate_latest(registry_of(metrics)).splitlines())

    assert after - before <= 200 * 20
