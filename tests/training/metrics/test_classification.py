"""Figures of classes against scikit-learn and sums by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, precision_recall_fscore_support, roc_auc_score

from training.bootstrap import Resampling
from training.errors import Immeasurable
from training.metrics.classification import measure
from training.statistics import Values

FEW = Resampling(rounds=60)
CLASSES = ("a", "b", "c")


def answers(count: int = 120, seed: int = 1) -> tuple[Values, np.ndarray]:
    """Probabilities that are right more often than not, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    logits = random.normal(size=(count, 3)) + 1.5 * np.eye(3)[labels]
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True), labels


def test_figures_are_those_of_scikit_learn() -> None:
    """Accuracy, precision, recall, F1 and ROC AUC, by class and their mean, the Brier score, the confusion matrix."""
    shares, labels = answers()
    found = measure(shares, labels, np.arange(len(labels)), CLASSES, FEW)
    said = shares.argmax(axis=1)
    assert accuracy_score(labels, said) == pytest.approx(found.accuracy.value)
    for average in (None, "macro"):
        expected = precision_recall_fscore_support(labels, said, average=average)[:3]
        for one, wanted in zip((found.precision, found.recall, found.f1), expected, strict=True):
            value = one.mean.value if average else [figure.value for figure in one.each.values()]
            assert value == pytest.approx(wanted)
    assert roc_auc_score(labels, shares, multi_class="ovr") == pytest.approx(found.auroc.mean.value)
    assert roc_auc_score(labels == 1, shares[:, 1]) == pytest.approx(found.auroc.each["b"].value)
    assert brier_score_loss(labels, shares, scale_by_half=False) == pytest.approx(found.brier.value)
    assert accuracy_score(labels, said) * len(labels) == sum(found.confusion[one][one] for one in range(3))
    for figure in (found.auroc.mean, found.f1.each["c"], found.brier, found.calibration_error):
        assert figure.low < figure.value < figure.high


def test_calibration_error_by_hand() -> None:
    """Ten answers at 0.9 of which seven are right, ten at 0.55 of which eight are: (10 x 0.2 + 10 x 0.25) / 20."""
    shares = np.repeat([[0.9, 0.1], [0.55, 0.45]], 10, axis=0)
    labels = np.array([0] * 7 + [1] * 3 + [0] * 8 + [1] * 2)
    found = measure(shares, labels, np.arange(20), ("a", "b"), FEW)
    assert pytest.approx(0.225, abs=1e-6) == found.calibration_error.value
    told = [(one.count, one.confidence, one.accuracy) for one in found.calibration]
    assert [(10, 0.55, 0.8), (10, 0.9, 0.7)] == [pytest.approx(one) for one in told]


def test_calibration_bins_make_the_error() -> None:
    """Distances of confidence and accuracy, weighted by how many answers there are, are the calibration error."""
    shares, labels = answers()
    found = measure(shares, labels, np.arange(len(labels)), CLASSES, FEW)
    apart = sum(one.count * abs(one.confidence - one.accuracy) for one in found.calibration) / len(labels)
    assert found.calibration_error.value == pytest.approx(apart, abs=1e-6)
    assert {"a", "b", "c"} == set(found.roc)


def test_equal_probabilities_know_nothing() -> None:
    """Who says the same of everything has an AUC of one half, and the precision of a class never said is 0."""
    labels = np.array([0, 0, 0, 1, 2, 0])
    found = measure(np.tile([0.5, 0.3, 0.2], (6, 1)), labels, np.arange(6), CLASSES, FEW)
    assert [0.5, 0.5, 0.5] == [one.value for one in found.auroc.each.values()]
    assert 0.0 == found.precision.each["b"].value
    assert pytest.approx(4 / 6) == found.accuracy.value


def test_a_class_that_isnt_there_has_no_figure() -> None:
    """It is left out by name and of the means; that it was said still costs the others recall."""
    shares, labels = answers()
    there = labels < 2
    found = measure(shares[there], labels[there], np.arange(there.sum()), CLASSES, FEW)
    assert ["a", "b"] == list(found.f1.each) == list(found.auroc.each)
    assert pytest.approx(np.mean([one.value for one in found.recall.each.values()])) == found.recall.mean.value


@pytest.mark.parametrize(
    "shares,labels,text",
    [
        ([[0.5, 0.5]] * 3, [1, 1, 1], "only 'b' in the test part, and at least 2"),
        ([[0.5, 0.5]] * 2, [0, 2], r"labels: 2 at \[1\] is no class, there are 0 to 1"),
        ([[0.5, 0.5], [3.0, -2.0]], [0, 1], "row 1 isn't one of shares that sum to 1"),
        ([[0.5, 0.5], [0.5, 0.6]], [0, 1], "row 1 isn't one of shares that sum to 1"),
        ([[0.5, 0.5], [np.nan, 0.5]], [0, 1], r"probabilities: 1 values are NaN or infinite, the first at \[1, 0\]"),
        ([[0.5, 0.2, 0.3]] * 2, [0, 1], r"probabilities: are \[2, 3\], and there are 2 classes"),
        ([[0.5, 0.5]], [0, 1], "probabilities: there are 1, and the test part has 2"),
        (np.zeros((0, 2)), [], "the test part is empty"),
    ],
)
def test_what_cant_be_measured_is_told(shares: list[list[float]], labels: list[int], text: str) -> None:
    """One class, labels beyond the classes, what are no probabilities, other lengths, nothing at all."""
    with pytest.raises(Immeasurable, match=text):
        measure(np.array(shares), np.array(labels, np.int64), np.arange(len(labels)), ("a", "b"), FEW)
