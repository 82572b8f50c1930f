"""Measures variants on the held-out test set, through the service that will serve them, side by side.

Accuracy comes with its interval and a paired test against the parent. Timing is interleaved: every round gives each
variant its turn on the same cores, in alternating order, and gains are medians of the rounds' own ratios. On a
shared machine single figures move by half between minutes, ratios within a round hardly do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from training.data.split import Labels, Split
from training.export import INPUT, OUTPUT
from training.gain import Gain, gain
from training.statistics import ClassScore, Paired, Share, class_scores, compare, confusion, share
from training.timing import (
    EvaluateSettings,
    Latency,
    Predictor,
    Speed,
    predict,
    speed,
    time_side_by_side,
)

Probabilities = NDArray[np.float32]
WORST = 12


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A variant to measure: its name in the repository, its parent's, and the size of its file in bytes."""

    name: str
    parent: str | None
    size: int


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
    answers = {one.name: predict(predictor, one.name, {INPUT: test.inputs})[OUTPUT] for one in candidates}
    timings = time_side_by_side(predictor, [one.name for one in candidates], {INPUT: test.inputs}, settings, console)
    by_name = {one.name: one for one in candidates}
    teacher = candidates[0].name

    def gained(name: str, other: str | None) -> Gain | None:
        if other is None or other == name:
            return None
        return gain(timings[name], timings[other], size=by_name[other].size / by_name[name].size)

    return {
        one.name: Measured(
            parent=one.parent,
            size=one.size,
            **_quality(answers[one.name], None if one.parent is None else answers[one.parent], test, classes),
            **_speed(speed(timings[one.name])),
            over_parent=gained(one.name, one.parent),
            over_teacher=gained(one.name, teacher),
        )
        for one in candidates
    }


def _quality(mine: Probabilities, parents: Probabilities | None, test: Split, classes: tuple[str, ...]) -> Any:
    labels = test.targets
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


def _speed(found: Speed) -> Any:
    return {
        "latency_ms": found.latency_ms,
        "compute_ms": found.compute_ms,
        "images_per_second": found.per_second,
        "best_batch": found.best_batch,
    }
