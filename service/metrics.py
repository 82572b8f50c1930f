"""Every number that the service counts, by the generation of a model that it is about.

The hot path adds to plain numbers; `exposition.py` renders them at a scrape, in another thread. Labels come from loaded
models, never from a request.
"""

import math
from collections import defaultdict
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import partial, reduce
from typing import Any

from service.histogram import Histogram
from service.statistics import Statistics

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
PHASES = ("input", "infer", "output")
OUTCOMES = ("ok", "client_error", "rejected", "deadline", "cancelled", "error")
"""How requests end."""


def _never() -> float:
    return math.inf


def _seconds() -> Histogram:
    return Histogram(SECONDS)


@dataclass(slots=True)
class ModelMetrics:
    """All numbers of one generation of one model version; written on the event loop.

    Functions are asked at a scrape, in its thread: `pending`, `waiting_since` (when the request that waits longest was
    admitted, `time.monotonic()` seconds; infinity when none waits), `sequences`, `worker_memory` in bytes, `worker_cpu`
    in seconds by device. `workers_up` counts by device, `worker_restarts` by device and reason. `requests` counts by
    (protocol, outcome), one of OUTCOMES, `request_duration` by protocol. `cache_bytes` is what the response cache keeps
    for it now. `remote_calls` counts calls to the server that computes the model, if another one does, by how they
    ended; such a server counts as one worker. `loaded_at` is when the generation took over, in seconds since the epoch;
    0 before.
    """

    requests: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    rejected: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    request_duration: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(_seconds))
    queue_duration: Histogram = field(default_factory=_seconds)
    compute_duration: dict[str, Histogram] = field(default_factory=lambda: {phase: _seconds() for phase in PHASES})
    batch_size: Histogram = field(default_factory=lambda: Histogram(ROWS))
    padding_ratio: Histogram = field(default_factory=lambda: Histogram(SHARES))
    inferences: int = 0
    executions: int = 0
    cache_hits: int = 0
    cache_misses: int = 0
    cache_bytes: int = 0
    pending: Callable[[], int] = int
    waiting_since: Callable[[], float] = _never
    sequences: Callable[[], int] = int
    workers_up: dict[str, int] = field(default_factory=dict)
    worker_memory: Callable[[], int] = int
    worker_cpu: Callable[[], dict[str, float]] = dict
    worker_restarts: dict[tuple[str, str], int] = field(default_factory=dict)
    remote_calls: dict[str, int] = field(default_factory=dict)
    ready: bool = False
    batch_independent: bool = True
    load_seconds: float = 0.0
    loaded_at: float = 0.0
    size_bytes: int = 0
    info: dict[str, str] = field(default_factory=dict)
    card_metrics: dict[str, float] = field(default_factory=dict)
    missing_instructions: tuple[str, ...] = ()
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
            elif each.name == "waiting_since":
                total.waiting_since = partial(_earliest, mine, its)
            elif each.name == "loaded_at":
                total.loaded_at = max(mine, its)
            else:
                setattr(total, each.name, _sum(mine, its))
        return total

    def history(self) -> "ModelMetrics":
        """What stays to be counted of a generation that has ended."""
        left, spent = copy(self), self.worker_cpu()
        left.pending, left.sequences, left.workers_up, left.worker_memory, left.ready = int, int, {}, int, False
        left.waiting_since, left.worker_cpu, left.cache_bytes = _never, lambda: spent, 0
        return left


_DESCRIPTION = ("batch_independent", "load_seconds", "size_bytes", "info", "card_metrics", "missing_instructions")


def _sum(one: Any, other: Any) -> Any:
    """Of numbers, histograms, tables of them, and functions that tell a number."""
    if isinstance(one, bool):
        return one or other
    if isinstance(one, Histogram):
        return one.plus(other)
    if isinstance(one, dict):
        both = {key: _sum(one[key], other[key]) for key in one.keys() & other.keys()}
        return one | other | both
    return (lambda: _sum(one(), other())) if callable(one) else one + other


def _earliest(one: Callable[[], float], other: Callable[[], float]) -> float:
    return min(one(), other())


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


class Metrics:
    """Owns the numbers of every generation, and how late the event loop is: `loop_lag`, each time that it came to a
    timer, and `loop_overdue`, which is asked at a scrape, in seconds for the timer that it hasn't come to.

    Counters of a version go on from one generation to the next; a version that none is left of has no numbers any more.
    """

    def __init__(self) -> None:
        self.unknown = ModelMetrics()
        self.loop_lag = _seconds()
        self.loop_overdue: Callable[[], float] = float
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

    def totals(self) -> dict[tuple[str, str], ModelMetrics]:
        """The numbers by model and version, those of requests that name no loaded model too. From any thread."""
        return {key: lineage.total() for key, lineage in dict(self._lineages).items()}
