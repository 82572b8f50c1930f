"""How well things are found: average precision over thresholds of overlap, as COCO defines it.

Boxes are matched once; every draw of the bootstrap weighs the same matches by how often their picture was drawn.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import DRAWS, Averaged, Indices, Resampling, Statistic, averaged, bootstrap, with_mean
from training.data.split import NO_BOX, Sources
from training.errors import Immeasurable
from training.metrics.inputs import check, check_present
from training.statistics import Counts, Values

OVERLAPS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
MOST = 100
"""Predictions a picture and class that count: the surest ones."""
Boxes = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class DetectionFigures:
    """Average precision by class, and its mean (mAP): at an overlap of 0.5, and the mean over 0.5, 0.55 ... 0.95."""

    at_50: Averaged
    at_50_95: Averaged


@dataclass(frozen=True, kw_only=True)
class _Found:
    """Predictions of one class, the surest first: their pictures int64 [D], and by overlap if they're right [D, T]."""

    pictures: Counts
    right: NDArray[np.bool_]


def measure(
    predictions: Boxes, targets: Boxes, sources: Sources, classes: tuple[str, ...], resampling: Resampling = DRAWS
) -> DetectionFigures:
    """The figures of `predictions` [N, P, 6] for `targets` [N, M, 5].

    A prediction is class, score, x0, y0, x1, y1, a target class, x0, y0, x1, y1; a class of -1 is none. Nothing found
    is an average precision of 0. Raises Immeasurable if there is nothing to find.
    Source: T.-Y. Lin et al., "Microsoft COCO", ECCV 2014, and its evaluation: precision at 101 recalls, at most 100
    predictions a picture and class, the surest taking the target that it covers best of those that are left.
    """
    check(sources, predictions=predictions, targets=targets)
    for name, boxes, length in (("predictions", predictions, 6), ("targets", targets, 5)):
        _check_boxes(name, boxes, length, len(classes))
    check_present(_there(targets, classes).sum(axis=0), classes, 1)
    at_50, at_50_95 = bootstrap(precisions(predictions, targets, classes), sources, resampling)
    return DetectionFigures(at_50=averaged(at_50, classes), at_50_95=averaged(at_50_95, classes))


def precisions(predictions: Boxes, targets: Boxes, classes: tuple[str, ...], least: Values = OVERLAPS) -> Statistic:
    """Average precision of draws of what `measure` takes, at the first of the overlaps `least` [T] and the
    mean over all of them: [2, 1 + C].

    The mean over classes comes before the classes.
    """
    there = _there(targets, classes)
    found = [_match(predictions, targets, label, least) for label in range(len(classes))]

    def drawn(chosen: Indices) -> Values:
        weights = np.bincount(chosen, minlength=len(targets))
        totals = weights @ there
        by_class = np.stack([_average(one, weights, total) for one, total in zip(found, totals, strict=True)])
        return with_mean(np.stack([by_class[:, 0], by_class.mean(axis=1)]))

    return drawn


def overlaps(first: Boxes, second: Boxes) -> Values:
    """Intersection over union of boxes [A, 4] with boxes [B, 4], x0, y0, x1, y1: [A, B]; 0 with an empty one."""
    corners = np.maximum(first[:, None, :2], second[None, :, :2]), np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(corners[1] - corners[0], 0), axis=2)
    areas = [np.prod(np.maximum(one[:, 2:] - one[:, :2], 0), axis=1) for one in (first, second)]
    either = areas[0][:, None] + areas[1][None, :] - shared
    return np.asarray(shared / np.where(either > 0, either, 1.0), np.float64)


def _there(targets: Boxes, classes: tuple[str, ...]) -> Counts:
    """How many of each class there are in each picture: [N, C]."""
    return np.stack([(targets[:, :, 0] == label).sum(axis=1) for label in range(len(classes))], axis=1)


def _check_boxes(name: str, boxes: Boxes, length: int, classes: int) -> None:
    if boxes.ndim != 3 or boxes.shape[2] != length:
        raise Immeasurable(f"{name}: are {list(boxes.shape)}, and should be [N, boxes, {length}]")
    labels = boxes[:, :, 0]
    wrong = np.argwhere((labels < NO_BOX) | (labels >= classes) | (labels % 1 != 0))
    if len(wrong):
        picture, box = wrong[0]
        found = f"box {box} of picture {picture} is of class {labels[picture, box]:g}"
        raise Immeasurable(f"{name}: {found}, not of {NO_BOX} to {classes - 1}")


def _match(predictions: Boxes, targets: Boxes, label: int, least: Values) -> _Found:
    rows = list(_matches(predictions, targets, label, least))
    scores, pictures, right = (np.concatenate(column) for column in zip(*rows, strict=True))
    order = np.argsort(-scores, kind="stable")
    return _Found(pictures=pictures[order], right=right[order])


def _matches(
    predictions: Boxes, targets: Boxes, label: int, least: Values
) -> Iterator[tuple[Boxes, Counts, NDArray[np.bool_]]]:
    """Picture by picture, of the predictions of a class: scores [D], the picture [D], if they're right at overlaps of
    `least` [T]: [D, T].
    """
    for picture, (said, true) in enumerate(zip(predictions, targets, strict=True)):
        mine, wanted = said[said[:, 0] == label], true[true[:, 0] == label]
        mine = mine[np.argsort(-mine[:, 1], kind="stable")][:MOST]
        covered = overlaps(mine[:, 2:], wanted[:, 1:])
        right = np.zeros((len(mine), len(least)), np.bool_)
        for column in np.flatnonzero(covered.max(initial=0) >= least):
            right[:, column] = _taken(covered, least[column])
        yield mine[:, 1], np.full(len(mine), picture), right


def _taken(covered: Values, least: float) -> NDArray[np.bool_]:
    """By overlaps [D, M] of predictions, the surest first: whether each gets a target that nobody has before, [D]."""
    free = np.ones(covered.shape[1], np.bool_)
    right = np.zeros(len(covered), np.bool_)
    for row in np.flatnonzero((covered >= least).any(axis=1)):
        left = np.where(free, covered[row], -1.0)
        if left.max() >= least:
            free[left.argmax()], right[row] = False, True
    return right


def _average(predictions: _Found, weights: Counts, total: int) -> Values:
    """Average precision by overlap [T], of pictures that count as often as `weights` [N] say; NaN without a target."""
    if not total:
        return np.full(predictions.right.shape[1], np.nan)
    counts = weights[predictions.pictures]
    seen = counts > 0
    if not seen.any():
        return np.zeros(predictions.right.shape[1])
    hits = np.cumsum(counts[seen, None] * predictions.right[seen], axis=0)
    precision = hits / np.cumsum(counts[seen])[:, None]
    # What it is at a recall is the best of that recall and all higher ones.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    reached = np.searchsorted(RECALLS, np.arange(total + 1) / total, side="right")[hits]  # how many recalls, [D, T]
    found: Values = (best * np.diff(reached, axis=0, prepend=0)).sum(axis=0) / len(RECALLS)
    return found
