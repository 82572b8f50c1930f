"""Errors of values against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score, root_mean_squared_error

from training.bootstrap import Averaged, Resampling
from training.errors import Immeasurable
from training.metrics.regression import measure

FEW = Resampling(rounds=60)


@pytest.mark.parametrize("scale", [1.0, 1e-5, 1e5])
def test_figures_are_those_of_scikit_learn(scale: float) -> None:
    """By horizon and their mean, whatever the units."""
    random = np.random.default_rng(1)
    targets = scale * (random.normal(size=(60, 3)) + 3).astype(np.float32)
    predictions = (targets + scale * random.normal(size=(60, 3)) * [0.1, 0.5, 1.0]).astype(np.float32)
    found = measure(predictions, targets, np.arange(60), ("1", "2", "3"), FEW)
    pairs = (
        (found.mae, mean_absolute_error),
        (found.rmse, root_mean_squared_error),
        (found.mse, mean_squared_error),
        (found.r2, r2_score),
    )
    for one, score in pairs:
        expected = score(targets.astype(np.float64), predictions.astype(np.float64), multioutput="raw_values")
        assert expected == pytest.approx(values(one))
        assert np.mean(expected) == pytest.approx(one.mean.value)
        assert one.mean.low < one.mean.value < one.mean.high


def values(one: Averaged) -> list[float]:
    return [figure.value for figure in one.each.values()]


def test_the_mean_explains_nothing() -> None:
    """Who always says the mean of the test part has an R2 of 0; who is right one of 1."""
    targets = np.array([[1.0], [2.0], [4.0], [9.0]])
    flat = measure(np.full((4, 1), 4.0), targets, np.arange(4), ("y",), FEW)
    right = measure(targets, targets, np.arange(4), ("y",), FEW)
    assert pytest.approx(0.0) == flat.r2.mean.value
    assert (1.0, 0.0) == (right.r2.mean.value, right.rmse.mean.high)


@pytest.mark.parametrize(
    "predictions,targets,text",
    [
        ([[1.0, 2.0], [2.0, 3.0]], [[1.0, 5.0], [2.0, 5.0]], "'two' is 5 throughout the test part"),
        ([[1.0], [2.0]], [[1.0, 5.0], [2.0, 6.0]], r"predictions: are \[2, 1\], and the targets \[2, 2\]"),
        ([[1.0], [2.0]], [[1.0], [2.0]], r"targets: are \[2, 1\], and there are 2 outputs"),
        ([[1.0, np.inf], [2.0, 3.0]], [[1.0, 5.0], [2.0, 5.0]], r"predictions: 1 values .* at \[0, 1\]"),
    ],
)
def test_what_cant_be_measured_is_told(predictions: list[list[float]], targets: list[list[float]], text: str) -> None:
    """A constant output, other shapes, infinities."""
    with pytest.raises(Immeasurable, match=text):
        measure(np.array(predictions), np.array(targets), np.arange(2), ("one", "two"), FEW)
