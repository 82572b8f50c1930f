"""Figures of masks against scikit-learn, all pixels together."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from training.bootstrap import Resampling
from training.errors import Immeasurable
from training.metrics.segmentation import measure

FEW = Resampling(rounds=60)
CLASSES = ("ground", "one", "two")


def test_figures_are_those_of_scikit_learn() -> None:
    """Pixel accuracy, IoU and Dice by class and their means."""
    random = np.random.default_rng(1)
    masks = random.integers(0, 3, (12, 6, 5))
    predictions = np.where(random.random(masks.shape) < 0.7, masks, random.integers(0, 3, masks.shape))
    found = measure(predictions, masks, np.arange(12), CLASSES, FEW)
    true, said = masks.ravel(), predictions.ravel()
    assert pytest.approx(accuracy_score(true, said)) == found.accuracy.value
    for one, score in ((found.iou, jaccard_score), (found.dice, f1_score)):
        assert score(true, said, average=None) == pytest.approx([figure.value for figure in one.each.values()])
        assert score(true, said, average="macro") == pytest.approx(one.mean.value)
        assert one.mean.low < one.mean.value < one.mean.high
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high


def test_by_hand() -> None:
    """Of four pixels one is found, and one is said beside it: 1 of 5 shared, 2 of 6 by Dice; an absent class is out."""
    masks, predictions = np.zeros((2, 3, 3), np.int64), np.zeros((2, 3, 3), np.int64)
    masks[0, :2, :2] = predictions[0, 1:, 1] = 1
    found = measure(predictions, masks, np.arange(2), CLASSES, FEW)
    assert (1 / 5, 2 / 6) == pytest.approx((found.iou.each["one"].value, found.dice.each["one"].value))
    assert ["ground", "one"] == list(found.iou.each)


@pytest.mark.parametrize(
    "prediction,mask,text",
    [
        (3, 0, r"predictions: 3 at \[0, 0, 0\]"),
        (0, -1, r"masks: -1 at \[0, 0, 0\]"),
    ],
)
def test_what_cant_be_measured_is_told(prediction: int, mask: int, text: str) -> None:
    """Classes that there aren't, other shapes."""
    with pytest.raises(Immeasurable, match=text):
        measure(np.full((2, 2, 2), prediction), np.full((2, 2, 2), mask), np.arange(2), CLASSES, FEW)
    with pytest.raises(Immeasurable, match="predictions: are"):
        measure(np.zeros((2, 2, 2), np.int64), np.zeros((2, 4, 4), np.int64), np.arange(2), CLASSES, FEW)
