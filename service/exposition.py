"""What Prometheus scrapes: the numbers of the models, of the front process and of the machine.

All of it is rendered in the thread of a scrape, from numbers that the event loop goes on writing meanwhile.
"""

import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from service import __version__
from service.gpu import GpuCollector
from service.histogram import Histogram
from service.memory import MemoryCollector
from service.metrics import OUTCOMES, UNKNOWN, Metrics, ModelMetrics

_MODEL = ("model", "version")


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """All that the service exposes."""
    registry = CollectorRegistry()
    for collector in (Exposition(metrics), MemoryCollector(), GpuCollector()):
        registry.register(collector)
    ProcessCollector(registry=registry)
    return registry


class Exposition(Collector):
    """Renders what `metrics` owns: the numbers of the models by (model, version), and the event loop's lag."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at every scrape, from its own thread."""
        build = GaugeMetricFamily("hone_build_info", "The running build; always 1", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        lag = self._metrics.loop_lag
        late = HistogramMetricFamily("hone_event_loop_lag_seconds", "How late the event loop came to a timer")
        late.add_metric([], lag.cumulative(), lag.total)
        yield late
        yield GaugeMetricFamily(
            "hone_event_loop_stalled_seconds", "How late it is for a timer now", self._metrics.loop_overdue()
        )
        models = self._metrics.totals()
        yield from self._requests(models)
        yield from self._batches(models)
        served = {key: numbers for key, numbers in models.items() if key != UNKNOWN}
        yield from self._caches(served)
        yield from self._workers(served)
        yield from self._about(served)

    def _requests(self, models: dict[tuple[str, str], ModelMetrics]) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "hone_requests", "Requests that ended, by outcome", labels=[*_MODEL, "protocol", "outcome"]
        )
        rejected = CounterMetricFamily("hone_rejected", "Requests refused or dropped", labels=[*_MODEL, "reason"])
        pending = GaugeMetricFamily("hone_pending_requests", "Requests waiting for a worker", labels=_MODEL)
        sequences = GaugeMetricFamily("hone_sequences", "Sequences in progress, or waiting for a slot", labels=_MODEL)
        age = GaugeMetricFamily(
            "hone_queue_age_seconds", "How long the request that waits longest has waited", labels=_MODEL
        )
        duration = HistogramMetricFamily(
            "hone_request_duration_seconds", "From admission to answer", labels=[*_MODEL, "protocol"]
        )
        now = time.monotonic()
        for key, numbers in models.items():
            counted = dict(numbers.requests)
            # All outcomes of a protocol from its first request on: no rate() sees a counter that begins with its event.
            for protocol in dict.fromkeys(protocol for protocol, _ in counted):
                for outcome in OUTCOMES:
                    requests.add_metric([*key, protocol, outcome], counted.get((protocol, outcome), 0))
            for reason, value in dict(numbers.rejected).items():
                rejected.add_metric([*key, reason], value)
            for protocol, histogram in dict(numbers.request_duration).items():
                _add(duration, [*key, protocol], histogram)
            pending.add_metric(key, numbers.pending())
            age.add_metric(key, max(now - numbers.waiting_since(), 0.0))
            sequences.add_metric(key, numbers.sequences())
        yield requests
        yield rejected
        yield pending
        yield age
        yield sequences
        yield duration
        yield _histogram("hone_queue_duration_seconds", "From admission to dispatch", models, "queue_duration")

    def _batches(self, models: dict[tuple[str, str], ModelMetrics]) -> Iterator[Metric]:
        compute = HistogramMetricFamily(
            "hone_compute_duration_seconds",
            "A batch by phase: inputs into memory, compute, outputs",
            labels=[*_MODEL, "phase"],
        )
        rows = CounterMetricFamily("hone_inference", "Rows computed", labels=_MODEL)
        batches = CounterMetricFamily("hone_execution", "Batches computed", labels=_MODEL)
        for key, numbers in models.items():
            for phase, histogram in numbers.compute_duration.items():
                _add(compute, [*key, phase], histogram)
            rows.add_metric(key, numbers.inferences)
            batches.add_metric(key, numbers.executions)
        yield compute
        yield _histogram("hone_batch_size", "Rows in a batch", models, "batch_size")
        yield _histogram("hone_padding_ratio", "Share of a padded batch that is padding", models, "padding_ratio")
        yield rows
        yield batches

    def _caches(self, models: dict[tuple[str, str], ModelMetrics]) -> Iterator[Metric]:
        hits = CounterMetricFamily("hone_cache_hits", "Requests answered from the response cache", labels=_MODEL)
        misses = CounterMetricFamily("hone_cache_misses", "Requests computed that it was asked for", labels=_MODEL)
        size = GaugeMetricFamily("hone_cache_bytes", "What it keeps for a model", labels=_MODEL)
        for key, numbers in models.items():
            hits.add_metric(key, numbers.cache_hits)
            misses.add_metric(key, numbers.cache_misses)
            size.add_metric(key, numbers.cache_bytes)
        yield hits
        yield misses
        yield size

    def _workers(self, models: dict[tuple[str, str], ModelMetrics]) -> Iterator[Metric]:
        up = GaugeMetricFamily("hone_worker_up", "Workers that take batches", labels=[*_MODEL, "device"])
        memory = GaugeMetricFamily("hone_worker_resident_bytes", "Memory of all workers of a model", labels=_MODEL)
        cpu = CounterMetricFamily(
            "hone_worker_cpu_seconds", "Processor time of all workers of a model so far", labels=[*_MODEL, "device"]
        )
        restarts = CounterMetricFamily(
            "hone_worker_restarts", "Workers that ended unasked", labels=[*_MODEL, "device", "reason"]
        )
        calls = CounterMetricFamily("hone_remote_calls", "Calls to a remote server, by end", labels=[*_MODEL, "end"])
        ready = GaugeMetricFamily("hone_model_ready", "1 when the model answers", labels=_MODEL)
        for key, numbers in models.items():
            for device, working in dict(numbers.workers_up).items():
                up.add_metric([*key, device], working)
            memory.add_metric(key, numbers.worker_memory())
            for device, seconds in numbers.worker_cpu().items():
                cpu.add_metric([*key, device], seconds)
            ready.add_metric(key, int(numbers.ready))
            for labels, value in dict(numbers.worker_restarts).items():
                restarts.add_metric([*key, *labels], value)
            for end, value in dict(numbers.remote_calls).items():
                calls.add_metric([*key, end], value)
        yield up
        yield memory
        yield cpu
        yield restarts
        yield calls
        yield ready

    def _about(self, models: dict[tuple[str, str], ModelMetrics]) -> Iterator[Metric]:
        labels = ["family", "variant", "backend", "precision"]
        independent = GaugeMetricFamily(
            "hone_model_batch_independent",
            "1 when batch-mates change no answer, so that batches are made",
            labels=_MODEL,
        )
        load = GaugeMetricFamily("hone_model_load_duration_seconds", "From start to ready", labels=_MODEL)
        loaded = GaugeMetricFamily(
            "hone_model_loaded_timestamp_seconds", "When what serves took over, seconds since the epoch", labels=_MODEL
        )
        size = GaugeMetricFamily("hone_model_size_bytes", "Bytes of the model file", labels=_MODEL)
        info = GaugeMetricFamily("hone_model_info", "What the model is; always 1", labels=[*_MODEL, *labels])
        metric = GaugeMetricFamily("hone_model_metric", "Metrics on the model's card", labels=[*_MODEL, "metric"])
        missing = GaugeMetricFamily(
            "hone_model_missing_instructions",
            "1 for each instruction set that the metrics on the card were taken with, and this CPU lacks",
            labels=[*_MODEL, "instructions"],
        )
        for key, numbers in models.items():
            load.add_metric(key, numbers.load_seconds)
            if numbers.loaded_at:
                loaded.add_metric(key, numbers.loaded_at)
            independent.add_metric(key, int(numbers.batch_independent))
            size.add_metric(key, numbers.size_bytes)
            info.add_metric([*key, *(numbers.info.get(label, "") for label in labels)], 1)
            for name, value in numbers.card_metrics.items():
                metric.add_metric([*key, name], value)
            for name in numbers.missing_instructions:
                missing.add_metric([*key, name], 1)
        yield load
        yield loaded
        yield independent
        yield size
        yield info
        yield metric
        yield missing


def _histogram(name: str, text: str, models: dict[tuple[str, str], ModelMetrics], attribute: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=_MODEL)
    for key, numbers in models.items():
        _add(family, key, getattr(numbers, attribute))
    return family


def _add(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    """One that has observed nothing is left out: of 200 idle models they would be nine tenths of a scrape."""
    if any(histogram.counts):
        family.add_metric(labels, histogram.cumulative(), histogram.total)
