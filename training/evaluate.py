"""Measures variants on the held-out test set, through the service that will serve them, side by side.

Accuracy comes with its interval and a paired test against the parent. Timing is interleaved: every round gives each
variant its turn on the same cores, in alternating order, and speed-ups are medians of the rounds' own ratios. On a
shared machine single figures move by half between minutes, ratios within a round hardly do.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.data.split import Images, Labels, Split
from training.statistics import ClassScore, Paired, Share, class_scores, compare, confusion, share

Request = Callable[[], NDArray[np.float32]]
ACCURACY_BATCH = 32
WARM_UP = 3


class Predictor(Protocol):
    """Whatever answers requests: the service, or in tests a file run in this process."""

    def request(self, model: str, images: Images) -> Request:
        """A request for `images` uint8 [N, C, H, W], made ready: each call sends it and returns probabilities."""
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
class Measured:
    """All figures of one variant.

    `confusion` has a row per true class; `against_parent` counts images that only this variant (first) or only the
    parent (second) got right. `latency_ms` holds p50 and p99 of whole requests at batch 1, `images_per_second` one
    figure a batch size, for one client that waits for each answer. Speed-ups are ratios to the parent, 1 for the
    teacher: of the latency at batch 1, and of the throughput, each at its own best batch size.
    """

    parent: str | None
    size: int
    accuracy: Share
    classes: Mapping[str, ClassScore]
    confusion: tuple[tuple[int, ...], ...]
    against_parent: Paired | None
    latency_ms: Mapping[str, float]
    images_per_second: Mapping[str, float]
    best_batch: int
    latency_speedup: float
    throughput_speedup: float

    @property
    def throughput(self) -> float:
        """Images a second at the best batch size."""
        return self.images_per_second[str(self.best_batch)]


Timings = dict[str, dict[int, NDArray[np.float64]]]
"""Seconds a request: variant -> batch size -> [rounds, requests]."""


def evaluate(
    predictor: Predictor,
    candidates: Sequence[Candidate],
    test: Split,
    classes: tuple[str, ...],
    settings: EvaluateSettings,
) -> dict[str, Measured]:
    """Every candidate's figures on the images of `test`. Parents come before their children."""
    predicted = {one.name: predict(predictor, one.name, test.images) for one in candidates}
    timings = time_side_by_side(predictor, [one.name for one in candidates], test.images, settings)
    return {one.name: _measured(one, test.labels, predicted, timings, classes) for one in candidates}


def predict(predictor: Predictor, model: str, images: Images) -> Labels:
    """The most probable class of each image, int64 [N]."""
    batches = [images[start : start + ACCURACY_BATCH] for start in range(0, len(images), ACCURACY_BATCH)]
    answers = [predictor.request(model, batch)().argmax(axis=1) for batch in batches]
    return np.concatenate(answers).astype(np.int64)


def time_side_by_side(
    predictor: Predictor, models: Sequence[str], images: Images, settings: EvaluateSettings
) -> Timings:
    """Durations of requests, all models taking turns within every round."""
    requests = {
        (model, size): predictor.request(model, np.resize(images, (size, *images.shape[1:])))
        for model in models
        for size in settings.batch_sizes
    }
    for request in requests.values():
        _time(request, WARM_UP)
    counts = {size: max(3, settings.requests // size) for size in settings.batch_sizes}
    rounds: dict[str, dict[int, list[NDArray[np.float64]]]] = {
        model: {size: [] for size in settings.batch_sizes} for model in models
    }
    for number in range(settings.rounds):
        order = models if number % 2 == 0 else models[::-1]
        for size in settings.batch_sizes:
            for model in order:
                rounds[model][size].append(_time(requests[model, size], counts[size]))
    return {model: {size: np.stack(kept) for size, kept in sizes.items()} for model, sizes in rounds.items()}


def _time(request: Request, count: int) -> NDArray[np.float64]:
    durations = np.empty(count)
    for index in range(count):
        start = time.perf_counter()
        request()
        durations[index] = time.perf_counter() - start
    return durations


def _measured(
    candidate: Candidate,
    labels: Labels,
    predicted: Mapping[str, Labels],
    timings: Timings,
    classes: tuple[str, ...],
) -> Measured:
    mine, own = predicted[candidate.name], timings[candidate.name]
    right = mine == labels
    counts = confusion(labels, mine, len(classes))
    rates = {size: size / float(np.median(durations.mean(axis=1))) for size, durations in own.items()}
    parent = candidate.parent
    return Measured(
        parent=parent,
        size=candidate.size,
        accuracy=share(int(right.sum()), len(labels)),
        classes=class_scores(counts, classes),
        confusion=tuple(tuple(int(count) for count in row) for row in counts),
        against_parent=None if parent is None else compare(right, predicted[parent] == labels),
        latency_ms={f"p{q}": float(np.percentile(own[1], q)) * 1e3 for q in (50, 99)},
        images_per_second={str(size): rate for size, rate in rates.items()},
        best_batch=max(rates, key=lambda size: rates[size]),
        latency_speedup=1.0 if parent is None else _speedup(timings[parent][1], own[1]),
        throughput_speedup=1.0 if parent is None else _speedup(_best(timings[parent]), _best(own)),
    )


def _best(timings: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Seconds an image [rounds, requests], at the batch size at which they are fewest."""
    return min((durations / size for size, durations in timings.items()), key=lambda one: float(np.median(one)))


def _speedup(parent: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    """The median over rounds of the ratio of median durations: one slow moment can't decide it."""
    return float(np.median(np.median(parent, axis=1) / np.median(own, axis=1)))
