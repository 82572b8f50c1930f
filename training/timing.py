"""Times models through whatever answers requests, side by side.

Timing is interleaved: every round gives each model its turn on the same cores, in alternating order. On a shared
machine single figures move by half between minutes, ratios within a round hardly do.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from training.session import Tensors

Request = Callable[[], Tensors]
AT_ONCE = 32
WARM_UP = 3


class Predictor(Protocol):
    """Whatever answers requests: the service, or in tests a file run in this process."""

    def request(self, model: str, inputs: Tensors) -> Request:
        """A request with `inputs` [N, ...] by their names, made ready: each call sends it and returns all outputs."""
        ...

    def compute_seconds(self, model: str) -> float:
        """How long the model's worker has computed so far, in total: the runtime's part alone, not the request's."""
        ...

    def is_independent(self, model: str) -> bool:
        """Whether an answer is the same whatever other inputs the request holds."""
        ...


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings:
    """How long to measure: `rounds` of `requests` at batch 1 (fewer at larger ones) for each of `batch_sizes`."""

    rounds: int = 20
    requests: int = 40
    batch_sizes: tuple[int, ...] = (1, 8, 32)

    def __post_init__(self) -> None:
        if min(self.rounds, self.requests) < 1 or 1 not in self.batch_sizes or min(self.batch_sizes) < 1:
            raise ValueError("rounds, requests, batch_sizes: must be at least 1, and batch size 1 is always measured")


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Whole requests of one client that waits for each answer, in milliseconds; `count` is how many there were.

    Of fewer than a hundred, `p99` says no more than the slowest.
    """

    p50: float
    p99: float
    count: int = 0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One variant at one batch size: seconds of each request [rounds, requests], and of computing a batch [rounds]."""

    requests: NDArray[np.float64]
    compute: NDArray[np.float64]


Timings = Mapping[str, Mapping[int, Timing]]
"""Variant -> batch size -> its timing."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a model answers, by batch size.

    `compute_ms` is the worker's time a batch, `per_second` how many inputs by the median request, most of them at the
    `best_batch`.
    """

    latency_ms: Mapping[str, Latency]
    compute_ms: Mapping[str, float]
    per_second: Mapping[str, float]
    best_batch: int


def predict(predictor: Predictor, model: str, inputs: Tensors) -> Tensors:
    """The outputs of all `inputs` [N, ...], by their names: [N, ...].

    Each is what comes out for an input by itself: where others in a request change that, a request holds one.
    """
    count = len(next(iter(inputs.values())))
    size = AT_ONCE if predictor.is_independent(model) else 1
    answers = [predictor.request(model, _rows(inputs, start, size))() for start in range(0, count, size)]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def time_side_by_side(
    predictor: Predictor, models: Sequence[str], inputs: Tensors, settings: EvaluateSettings, console: Console
) -> Timings:
    """Durations of requests and of computing, all models taking turns within every round."""
    requests = {
        (model, size): predictor.request(model, _resized(inputs, size))
        for model in models
        for size in settings.batch_sizes
    }
    for request in requests.values():
        timed(request, WARM_UP)
    turns: dict[tuple[str, int], list[tuple[NDArray[np.float64], float]]] = {key: [] for key in requests}
    rounds = track(
        range(settings.rounds), "  measuring", console=console, transient=True, disable=not console.is_terminal
    )
    for number in rounds:
        order = models if number % 2 == 0 else models[::-1]
        for size in settings.batch_sizes:
            count = max(3, settings.requests // size)
            for model in order:
                before = predictor.compute_seconds(model)
                durations = timed(requests[model, size], count)
                turns[model, size].append((durations, (predictor.compute_seconds(model) - before) / count))
    return {
        model: {
            size: Timing(
                requests=np.stack([durations for durations, _ in turns[model, size]]),
                compute=np.array([compute for _, compute in turns[model, size]]),
            )
            for size in settings.batch_sizes
        }
        for model in models
    }


def speed(own: Mapping[int, Timing]) -> Speed:
    """The figures of one model's timings."""
    rates = paces(own)
    return Speed(
        latency_ms={str(size): latency(timing.requests) for size, timing in own.items()},
        compute_ms={str(size): float(np.median(timing.compute)) * 1e3 for size, timing in own.items()},
        per_second={str(size): 1 / float(np.median(pace)) for size, pace in rates.items()},
        best_batch=best(rates),
    )


def paces(timings: Mapping[int, Timing]) -> dict[int, NDArray[np.float64]]:
    """Seconds an input at each batch size, by the median request of each round: [rounds]."""
    return {size: np.median(timing.requests, axis=1) / size for size, timing in timings.items()}


def best(paces: Mapping[int, NDArray[np.float64]]) -> int:
    """The batch size at which an input takes least."""
    return min(paces, key=lambda size: float(np.median(paces[size])))


def timed(request: Request, count: int) -> NDArray[np.float64]:
    """Seconds of each of `count` requests, one after the other: [count]."""
    durations = np.empty(count)
    for index in range(count):
        start = time.perf_counter()
        request()
        durations[index] = time.perf_counter() - start
    return durations


def latency(requests: NDArray[np.float64]) -> Latency:
    """What `timed` found, of any shape, as people read it."""
    p50, p99 = (float(one) * 1e3 for one in np.percentile(requests, (50, 99)))
    return Latency(p50=p50, p99=p99, count=requests.size)


def _rows(inputs: Tensors, start: int, size: int) -> Tensors:
    return {name: array[start : start + size] for name, array in inputs.items()}


def _resized(inputs: Tensors, size: int) -> Tensors:
    return {name: np.resize(array, (size, *array.shape[1:])) for name, array in inputs.items()}
