"""What classifiers have to beat: the majority, and a linear model, each as its metric takes it."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from tests.training.baselines.parts import part
from training.baselines.baseline import Baseline
from training.baselines.logistic_regression import LogisticRegression
from training.baselines.majority_class import MajorityClass
from training.bootstrap import Resampling
from training.errors import TrainingError
from training.metrics.classification import measure

FEW = Resampling(rounds=60)
CLASSES = ("malignant", "benign")


def test_the_majority_is_what_there_is_most_of() -> None:
    """Of everything it says the shares of the training labels, those of classes that weren't there too."""
    model: Baseline = MajorityClass(part(np.zeros((4, 2)), [2, 0, 2, 2]), classes=4)
    assert [[0.25, 0.0, 0.75, 0.0]] * 3 == model.predict(np.zeros((3, 2))).tolist()


def test_real_features_are_told_apart() -> None:
    """On breast cancer a linear model is far better than the majority, which is right as often as benign is."""
    inputs, labels = load_breast_cancer(return_X_y=True)
    train, test = part(inputs[:400].astype(np.float32), labels[:400]), part(inputs[400:], labels[400:])
    models = (MajorityClass(train, classes=2), LogisticRegression(train, classes=2))
    most, linear = (measure(one.predict(test.inputs), test.targets, test.sources, CLASSES, FEW) for one in models)
    assert pytest.approx(test.targets.mean()) == most.accuracy.value
    assert linear.accuracy.low > most.accuracy.high
    assert linear.auroc.mean.value > 0.98


def test_pixels_are_rows_too() -> None:
    """Pictures that differ in one corner are told apart; a class that training didn't have has probability 0."""
    labels = np.tile([0, 2], 20)
    pixels = np.random.default_rng(1).integers(0, 100, (40, 1, 4, 4), dtype=np.uint8)
    pixels[:, 0, 0, 0] += (100 * (labels == 2)).astype(np.uint8)
    found = LogisticRegression(part(pixels, labels), classes=3).predict(pixels)
    assert np.array_equal(labels, found.argmax(axis=1))
    assert not found[:, 1].any()
    assert pytest.approx(np.ones(40)) == found.sum(axis=1)


def test_pixels_that_hardly_changed_do_not_outweigh_others() -> None:
    """Ink at an edge, where one training picture of forty had a little, doesn't change what is seen elsewhere."""
    labels = np.tile([0, 1], 20)
    pixels = np.zeros((40, 1, 4, 4), dtype=np.uint8)
    pixels[:, 0, 1, 1] = 100 + 100 * labels
    pixels[0, 0, 3, 3] = 1
    model = LogisticRegression(part(pixels, labels), classes=2)
    moved = pixels.copy()
    moved[:, 0, 3, 3] = 200
    assert np.array_equal(labels, model.predict(moved).argmax(axis=1))


def test_texts_are_told_by_their_tokens() -> None:
    """By which there are, not by where; padding and what training didn't have don't matter."""
    ids = np.array([[5, 3, 4, 0], [3, 5, 4, 0], [6, 3, 4, 4], [3, 6, 4, 0]] * 5)
    model = LogisticRegression(part(ids, [0, 0, 1, 1] * 5), classes=2)
    found = model.predict(np.array([[3, 4, 5, 0, 0], [4, 3, 6, 99, 0]]))
    assert [0, 1] == found.argmax(axis=1).tolist()
    assert found.tolist() == pytest.approx(model.predict(np.array([[5, 3, 4], [6, 4, 3]])))


def test_one_class_is_nothing_to_tell_apart() -> None:
    """A training part that has one class alone is refused."""
    with pytest.raises(TrainingError, match="one class alone"):
        LogisticRegression(part(np.zeros((3, 2)), [1, 1, 1]), classes=2)
