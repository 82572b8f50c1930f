"""How sure a figure is: intervals for shares, paired tests for two models on the same images, scores a class."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.split import Labels

Z_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Share:
    """`hits` of `count`, with the interval from `low` to `high` that holds the true share in 95 of 100 cases."""

    value: float
    low: float
    high: float
    hits: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Two models on the same images: how many only one of them got right, and the chance of that under equality."""

    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True, kw_only=True)
class ClassScore:
    """One class: of its `support` images, and of all images said to be of it, the shares that were right."""

    precision: float
    recall: float
    f1: float
    support: int


def share(hits: int, count: int) -> Share:
    """A share with its Wilson score interval. Source: E. B. Wilson, JASA 22 (1927)."""
    value = hits / count
    scale = 1 + Z_95**2 / count
    centre = (value + Z_95**2 / (2 * count)) / scale
    spread = Z_95 / scale * math.sqrt(value * (1 - value) / count + Z_95**2 / (4 * count**2))
    # The bounds touch 0 and 1 exactly where every try went the same way; rounding must not push them past the value.
    return Share(
        value=value,
        low=min(value, max(0.0, centre - spread)),
        high=max(value, min(1.0, centre + spread)),
        hits=hits,
        count=count,
    )


def compare(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
    """McNemar's test in its exact form: `first` and `second` say, image by image [N], whether each model was right.

    Two-sided binomial on the images where they differ. Source: Q. McNemar, Psychometrika 12 (1947).
    """
    only_first = int((first & ~second).sum())
    only_second = int((~first & second).sum())
    differing = only_first + only_second
    fewer = min(only_first, only_second)
    tail = sum(math.comb(differing, k) for k in range(fewer + 1)) / 2**differing
    return Paired(only_first=only_first, only_second=only_second, p_value=min(1.0, 2 * tail))


def confusion(labels: Labels, predicted: Labels, classes: int) -> NDArray[np.int64]:
    """Counts [classes, classes]: row = true class, column = predicted class."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, predicted), 1)
    return counts


def class_scores(counts: NDArray[np.int64], names: tuple[str, ...]) -> Mapping[str, ClassScore]:
    """Precision, recall and F1 of every class from a confusion matrix; 0 where a class was never seen or said."""
    scores = {}
    for index, name in enumerate(names):
        right = int(counts[index, index])
        support, said = int(counts[index].sum()), int(counts[:, index].sum())
        precision, recall = _ratio(right, said), _ratio(right, support)
        f1 = _ratio(2 * precision * recall, precision + recall)
        scores[name] = ClassScore(precision=precision, recall=recall, f1=f1, support=support)
    return scores


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
