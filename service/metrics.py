"""Every instrument that the service exposes, and the collector that renders them.

The hot path adds to plain numbers; prometheus_client sees them at a scrape only, from another thread. Labels come from
loaded models, never from a request.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import reduce
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from service.histogram import Histogram
from service.statistics import Statistics

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
PHASES = ("input", "infer", "output")
_MODEL = ("model", "version")


@dataclass(slots=True)
class ModelMetrics:
    """All numbers of one generation of one model version; written on the event loop.

    `pending`, `sequences` and `worker_memory`, in bytes, are asked at a scrape. `workers_up` counts by device,
    `worker_restarts` by device and reason. `requests` counts by (protocol, outcome); outcomes are ok, client_error,
    rejected, deadline, cancelled and error. `cache_bytes` is what the response cache keeps for it now. `remote_calls`
    counts calls to the server that computes the model, if another one does, by how they ended; such a server counts as
    one worker.
    """

    requests: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    rejected: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    request_duration: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    queue_duration: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    compute_duration: dict[str, Histogram] = field(
        default_factory=lambda: {phase: Histogram(SECONDS) for phase in PHASES}
    )
    batch_size: Histogram = field(default_factory=lambda: Histogram(ROWS))
    padding_ratio: Histogram = field(default_factory=lambda: Histogram(SHARES))
    inferences: int = 0
    executions: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    cache_bytes: int = 0
    pending: Callable[[], int] = int
    sequences: Callable[[], int] = int
    workers_up: dict[str, int] = field(default_factory=dict)
    worker_memory: Callable[[], int] = int
    worker_restarts: dict[tuple[str, str], int] = field(default_factory=dict)
    remote_calls: dict[str, int] = field(default_factory=dict)
    ready: bool = False
    batch_independent: bool = True
    load_seconds: float = 0.0
    size_bytes: int = 0
    info: dict[str, str] = field(default_factory=dict)
    card_metrics: dict[str, float] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=Statistics)

    def computed(self, requests: int, rows: int, phases: tuple[float, float, float]) -> None:
        """One more batch of so many requests and rows, and the seconds of each of its PHASES."""
        self.statistics.computed(requests, rows, phases)
        self.executions += 1
        self.inferences += rows
        self.batch_size.observe(rows)
        for histogram, seconds in zip(self.compute_duration.values(), phases, strict=True):
            histogram.observe(seconds)

    def looked_up(self, seconds: float, *, hit: bool) -> None:
        """One more request was answered from the response cache, or computed since its answer wasn't there."""
        if hit:
            self.cache_hits += 1
            self.statistics.cache_hit_seconds += seconds
        else:
            self.cache_misses += 1
            self.statistics.cache_miss_seconds += seconds

    def refuse(self, protocol: str, outcome: str, reason: str, count: int = 1) -> None:
        """So many more requests ended with an error; a rejection is counted by its reason too."""
        self.requests[protocol, outcome] += count
        if outcome == "rejected":
            self.rejected[reason] += count

    def plus(self, other: "ModelMetrics") -> "ModelMetrics":
        """Both counted together; what describes the model is that of `other`, once it has been loaded."""
        total = ModelMetrics()
        for each in fields(ModelMetrics):
            mine, its = getattr(self, each.name), getattr(other, each.name)
            if each.name == "statistics":
                continue  # they are told of a generation, as Triton does
            if each.name in _DESCRIPTION:
                setattr(total, each.name, its if other.info else mine)
            else:
                setattr(total, each.name, _sum(mine, its))
        return total

    def history(self) -> "ModelMetrics":
        """What stays to be counted of a generation that has ended."""
        left = copy(self)
        left.pending, left.sequences, left.workers_up, left.worker_memory, left.ready = int, int, {}, int, False
        left.cache_bytes = 0
        return left


_DESCRIPTION = ("batch_independent", "load_seconds", "size_bytes", "info", "card_metrics")


def _sum(one: Any, other: Any) -> Any:
    """Of numbers, histograms, tables of them, and functions that tell a number."""
    if isinstance(one, bool):
        return one or other
    if isinstance(one, Histogram):
        return one.plus(other)
    if isinstance(one, dict):
        both = {key: _sum(one[key], other[key]) for key in one.keys() & other.keys()}
        return one | other | both
    return (lambda: one() + other()) if callable(one) else one + other


@dataclass(frozen=True, slots=True)
class _Lineage:
    """The generations of one model version: the sum of those that have ended, and those that live, oldest first."""

    past: ModelMetrics | None = None
    living: tuple[ModelMetrics, ...] = ()

    def total(self) -> ModelMetrics:
        every = self.living if self.past is None else (self.past, *self.living)
        return reduce(ModelMetrics.plus, every)


UNKNOWN = ("_unknown", "")
"""Labels of requests that name no loaded model."""


class Metrics(Collector):
    """Owns the numbers of every generation, and exposes them by (model, version).

    Counters of a version go on from one generation to the next; a version that none is left of isn't exposed any more.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self.unknown = ModelMetrics()
        # Lineages are replaced, never changed: a scrape in its thread sees one or the other.
        self._lineages: dict[tuple[str, str], _Lineage] = {UNKNOWN: _Lineage(living=(self.unknown,))}

    def begin(self, name: str, version: str) -> ModelMetrics:
        """The numbers of a new generation."""
        numbers = ModelMetrics()
        lineage = self._lineages.get((name, version), _Lineage())
        self._lineages[name, version] = replace(lineage, living=(*lineage.living, numbers))
        return numbers

    def end(self, name: str, version: str, numbers: ModelMetrics) -> None:
        """A generation is no more."""
        lineage = self._lineages[name, version]
        living = tuple(one for one in lineage.living if one is not numbers)
        if not living:
            del self._lineages[name, version]
            return
        past = numbers if lineage.past is None else lineage.past.plus(numbers)
        self._lineages[name, version] = _Lineage(past=past.history(), living=living)

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at every scrape, from its own thread."""
        build = GaugeMetricFamily("hone_build_info", "The running build; always 1", labels=["version"])
        build.add_metric([self._version], 1)
        yield build
        models = {key: lineage.total() for key, lineage in dict(self._lineages).items()}
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
        for key, numbers in models.items():
            for labels, value in dict(numbers.requests).items():
                requests.add_metric([*key, *labels], value)
            for reason, value in dict(numbers.rejected).items():
                rejected.add_metric([*key, reason], value)
            pending.add_metric(key, numbers.pending())
            sequences.add_metric(key, numbers.sequences())
        yield requests
        yield rejected
        yield pending
        yield sequences
        yield _histogram("hone_request_duration_seconds", "From admission to answer", models, "request_duration")
        yield _histogram("hone_queue_duration_seconds", "From admission to dispatch", models, "queue_duration")

    def _batches(self, models: dict[tuple[str, str], ModelMetrics]) -> Iterator[Metric]:
        compute = HistogramMetricFamily(
            "hone_compute_duration_seconds", "A batch in its worker, by phase", labels=[*_MODEL, "phase"]
        )
        rows = CounterMetricFamily("hone_inference", "Rows computed", labels=_MODEL)
        batches = CounterMetricFamily("hone_execution", "Batches computed", labels=_MODEL)
        for key, numbers in models.items():
            for phase, histogram in numbers.compute_duration.items():
                compute.add_metric([*key, phase], histogram.cumulative(), histogram.total)
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
        restarts = CounterMetricFamily(
            "hone_worker_restarts", "Workers that ended unasked", labels=[*_MODEL, "device", "reason"]
        )
        calls = CounterMetricFamily("hone_remote_calls", "Calls to a remote server, by end", labels=[*_MODEL, "end"])
        ready = GaugeMetricFamily("hone_model_ready", "1 when the model answers", labels=_MODEL)
        for key, numbers in models.items():
            for device, working in dict(numbers.workers_up).items():
                up.add_metric([*key, device], working)
            memory.add_metric(key, numbers.worker_memory())
            ready.add_metric(key, int(numbers.ready))
            for labels, value in dict(numbers.worker_restarts).items():
                restarts.add_metric([*key, *labels], value)
            for end, value in dict(numbers.remote_calls).items():
                calls.add_metric([*key, end], value)
        yield up
        yield memory
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
        size = GaugeMetricFamily("hone_model_size_bytes", "Bytes of the model file", labels=_MODEL)
        info = GaugeMetricFamily("hone_model_info", "What the model is; always 1", labels=[*_MODEL, *labels])
        metric = GaugeMetricFamily("hone_model_metric", "Metrics on the model's card", labels=[*_MODEL, "metric"])
        for key, numbers in models.items():
            load.add_metric(key, numbers.load_seconds)
            independent.add_metric(key, int(numbers.batch_independent))
            size.add_metric(key, numbers.size_bytes)
            info.add_metric([*key, *(numbers.info.get(label, "") for label in labels)], 1)
            for name, value in numbers.card_metrics.items():
                metric.add_metric([*key, name], value)
        yield load
        yield independent
        yield size
        yield info
        yield metric


def _histogram(name: str, text: str, models: dict[tuple[str, str], ModelMetrics], attribute: str) -> Metric:
    family = HistogramMetricFamily(name, text, labels=_MODEL)
    for key, numbers in models.items():
        histogram: Histogram = getattr(numbers, attribute)
        family.add_metric(key, histogram.cumulative(), histogram.total)
    return family
