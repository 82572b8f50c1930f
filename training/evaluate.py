"""Measures variants on the held-out test set, through the service that will serve them, side by side.

Accuracy comes with its interval and a paired test against the parent. Timing is interleaved: every round gives each
variant its turn on the same cores, in alternating order, and gains are medians of the rounds' own ratios. On a
shared machine single figures move by half between minutes, ratios within a round hardly do.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from training.data.split import Images, Labels, Split
from training.statistics import ClassScore, Paired, Share, class_scores, compare, confusion, share

Probabilities = NDArray[np.float32]
Request = Callable[[], Probabilities]
ACCURACY_BATCH = 32
WARM_UP = 3
WORST = 12


class Predictor(Protocol):
    """Whatever answers requests: the service, or in tests a file run in this process."""

    def request(self, model: str, images: Images) -> Request:
        """A request for `images` uint8 [N, C, H, W], made ready: each call sends it and returns probabilities."""
        ...

    def compute_seconds(self, model: str) -> float:
        """How long the model's worker has computed so far, in total: the runtime's part alone, not the request's."""
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
class Candidate:
    """A variant to measure: its name in the repository, its parent's, and the size of its file in bytes."""

    name: str
    parent: str | None
    size: int


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Whole requests of one client that waits for each answer, in milliseconds; `count` is how many there were.

    Of fewer than a hundred, `p99` says no more than the slowest.
    """

    p50: float
    p99: float
    count: int = 0


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How many times as good as another variant: smaller by `size`, faster by the others; below 1 is worse.

    `compute` is the worker's time and `latency` that of whole requests, both at batch 1; `throughput` compares images
    a second, each variant at its own best batch size.
    """

    size: float
    compute: float
    latency: float
    throughput: float


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A test image that was answered wrongly: its position, the right class and the answered one, by their positions.

    `confidence` is the probability of the answer, `truth` that of the right class.
    """

    image: int
    label: int
    answer: int
    confidence: float
    truth: float


@dataclass(frozen=True, kw_only=True)
class Measured:
    """All figures of one variant.

    `confusion` has a row per true class; `against_parent` counts images that only this variant (first) or only the
    parent (second) got right; `mistakes` are the most confident ones. `latency_ms`, `compute_ms` (the worker's time a
    batch) and `images_per_second` (by the median request) have a figure for each batch size. Gains are None where there
    is nothing to compare.
    """

    parent: str | None
    size: int
    accuracy: Share
    classes: Mapping[str, ClassScore]
    confusion: tuple[tuple[int, ...], ...]
    against_parent: Paired | None
    mistakes: tuple[Mistake, ...]
    latency_ms: Mapping[str, Latency]
    compute_ms: Mapping[str, float]
    images_per_second: Mapping[str, float]
    best_batch: int
    over_parent: Gain | None
    over_teacher: Gain | None

    @property
    def throughput(self) -> float:
        """Images a second at the best batch size."""
        return self.images_per_second[str(self.best_batch)]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One variant at one batch size: seconds of each request [rounds, requests], and of computing a batch [rounds]."""

    requests: NDArray[np.float64]
    compute: NDArray[np.float64]


Timings = Mapping[str, Mapping[int, Timing]]
"""Variant -> batch size -> its timing."""


def evaluate(
    predictor: Predictor,
    candidates: Sequence[Candidate],
    test: Split,
    classes: tuple[str, ...],
    *,
    settings: EvaluateSettings,
    console: Console,
) -> dict[str, Measured]:
    """Every candidate's figures on the images of `test`. The teacher, which has no parent, comes first."""
    answers = {one.name: predict(predictor, one.name, test.images) for one in candidates}
    timings = time_side_by_side(predictor, [one.name for one in candidates], test.images, settings, console)
    by_name = {one.name: one for one in candidates}
    teacher = candidates[0].name

    def gain(name: str, other: str | None) -> Gain | None:
        if other is None or other == name:
            return None
        return _gain(timings[name], timings[other], size=by_name[other].size / by_name[name].size)

    return {
        one.name: Measured(
            parent=one.parent,
            size=one.size,
            **_quality(answers[one.name], None if one.parent is None else answers[one.parent], test, classes),
            **_speed(timings[one.name]),
            over_parent=gain(one.name, one.parent),
            over_teacher=gain(one.name, teacher),
        )
        for one in candidates
    }


def predict(predictor: Predictor, model: str, images: Images) -> Probabilities:
    """The probabilities of each image, float32 [N, classes]."""
    batches = [images[start : start + ACCURACY_BATCH] for start in range(0, len(images), ACCURACY_BATCH)]
    return np.concatenate([predictor.request(model, batch)() for batch in batches])


def time_side_by_side(
    predictor: Predictor, models: Sequence[str], images: Images, settings: EvaluateSettings, console: Console
) -> Timings:
    """Durations of requests and of computing, all models taking turns within every round."""
    requests = {
        (model, size): predictor.request(model, np.resize(images, (size, *images.shape[1:])))
        for model in models
        for size in settings.batch_sizes
    }
    for request in requests.values():
        _time(request, WARM_UP)
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
                durations = _time(requests[model, size], count)
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


def _time(request: Request, count: int) -> NDArray[np.float64]:
    durations = np.empty(count)
    for index in range(count):
        start = time.perf_counter()
        request()
        durations[index] = time.perf_counter() - start
    return durations


def _quality(mine: Probabilities, parents: Probabilities | None, test: Split, classes: tuple[str, ...]) -> Any:
    labels = test.labels
    answers = mine.argmax(axis=1)
    right = answers == labels
    counts = confusion(labels, answers.astype(np.int64), len(classes))
    return {
        "accuracy": share(right, test.sources),
        "classes": class_scores(counts, classes),
        "confusion": tuple(tuple(int(count) for count in row) for row in counts),
        "against_parent": None if parents is None else compare(right, parents.argmax(axis=1) == labels, test.sources),
        "mistakes": _worst(mine, labels),
    }


def _worst(probabilities: Probabilities, labels: Labels) -> tuple[Mistake, ...]:
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    order = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:WORST]
    return tuple(
        Mistake(
            image=int(one),
            label=int(labels[one]),
            answer=int(answers[one]),
            confidence=float(probabilities[one, answers[one]]),
            truth=float(probabilities[one, labels[one]]),
        )
        for one in order
    )


def _speed(own: Mapping[int, Timing]) -> Any:
    paces = _paces(own)
    return {
        "latency_ms": {str(size): _latency(timing.requests) for size, timing in own.items()},
        "compute_ms": {str(size): float(np.median(timing.compute)) * 1e3 for size, timing in own.items()},
        "images_per_second": {str(size): 1 / float(np.median(pace)) for size, pace in paces.items()},
        "best_batch": _best(paces),
    }


def _latency(requests: NDArray[np.float64]) -> Latency:
    p50, p99 = (float(one) * 1e3 for one in np.percentile(requests, (50, 99)))
    return Latency(p50=p50, p99=p99, count=requests.size)


def _gain(own: Mapping[int, Timing], other: Mapping[int, Timing], *, size: float) -> Gain:
    mine, others = _paces(own), _paces(other)
    return Gain(
        size=size,
        compute=_ratio(other[1].compute, own[1].compute),
        latency=_ratio(np.median(other[1].requests, axis=1), np.median(own[1].requests, axis=1)),
        throughput=_ratio(others[_best(others)], mine[_best(mine)]),
    )


def _paces(timings: Mapping[int, Timing]) -> dict[int, NDArray[np.float64]]:
    """Seconds an image at each batch size, by the median request of each round: [rounds]."""
    return {size: np.median(timing.requests, axis=1) / size for size, timing in timings.items()}


def _best(paces: Mapping[int, NDArray[np.float64]]) -> int:
    """The batch size at which an image takes least."""
    return min(paces, key=lambda size: float(np.median(paces[size])))


def _ratio(other: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    """The median over rounds of the ratio of two durations [rounds]: one slow moment can't decide it."""
    return float(np.median(other / own))
