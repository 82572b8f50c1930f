"""How well pixels are told apart."""

from dataclasses import dataclass

import numpy as np

from training.bootstrap import (
    DRAWS,
    Averaged,
    Figure,
    Indices,
    Resampling,
    Statistic,
    averaged,
    bootstrap,
    figure,
    with_mean,
)
from training.data.split import Labels, Sources
from training.metrics.inputs import check, check_labels, check_shape
from training.statistics import Counts, Values, scores, tally


@dataclass(frozen=True, kw_only=True)
class SegmentationFigures:
    """Of all pixels of the test part together; figures by class are those of the classes it has.

    `iou` is what prediction and truth share of what either has, its mean is the mIoU; `dice` is a class's F1.
    """

    accuracy: Figure
    iou: Averaged
    dice: Averaged


def measure(
    predictions: Labels, masks: Labels, sources: Sources, classes: tuple[str, ...], resampling: Resampling = DRAWS
) -> SegmentationFigures:
    """The figures of `predictions` int64 [N, H, W] for `masks` int64 [N, H, W].

    Raises Immeasurable if they are of different shapes, or of classes that there aren't.
    """
    check(sources, predictions=predictions, masks=masks)
    check_shape(predictions, masks)
    check_labels(classes, masks=masks, predictions=predictions)
    tallies = _tallies(predictions, masks, classes)

    def accuracy(chosen: Indices) -> Values:
        right, _, support = tallies[chosen].sum(axis=(0, 2))
        return np.asarray(right / support)

    iou, dice = bootstrap(shared(predictions, masks, classes), sources, resampling)
    return SegmentationFigures(
        accuracy=figure(bootstrap(accuracy, sources, resampling)),
        iou=averaged(iou, classes),
        dice=averaged(dice, classes),
    )


def shared(predictions: Labels, masks: Labels, classes: tuple[str, ...]) -> Statistic:
    """IoU and Dice of draws of `predictions` for `masks`, both [N, H, W], the mean before the classes: [2, 1 + C]."""
    tallies = _tallies(predictions, masks, classes)

    def drawn(chosen: Indices) -> Values:
        right, said, support = tallies[chosen].sum(axis=0)
        either = said + support - right
        iou = np.where(support > 0, right / np.maximum(either, 1), np.nan)
        return with_mean(np.stack([iou, scores(right, said, support)[2]]))

    return drawn


def _tallies(predictions: Labels, masks: Labels, classes: tuple[str, ...]) -> Counts:
    """What each picture adds: [N, 3, C]."""
    return tally(predictions.reshape(len(masks), -1), masks.reshape(len(masks), -1), len(classes))
