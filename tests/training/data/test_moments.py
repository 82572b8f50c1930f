"""Mean and deviation of features."""

import numpy as np
import pytest

from training.data.moments import moments


def test_features_have_a_figure_each() -> None:
    """Over rows, and over the steps of windows too; as numpy has them."""
    rows = np.random.default_rng(1).normal([1, 200], [2, 30], (50, 2)).astype(np.float32)
    found = moments(rows)
    assert found.mean == pytest.approx(rows.mean(axis=0).tolist(), rel=1e-5)
    assert found.deviation == pytest.approx(rows.std(axis=0).tolist(), rel=1e-5)
    assert found == moments(rows.reshape(10, 5, 2))


def test_pixels_have_a_figure_a_channel() -> None:
    """As shares of 255."""
    pixels = np.zeros((4, 2, 3, 3), np.uint8)
    pixels[:2, 1] = 255
    assert (0.0, 0.5) == moments(pixels).mean
    assert (1.0, 0.5) == moments(pixels).deviation


@pytest.mark.parametrize("value", [0.0, 0.1, 12345.678])
def test_a_constant_becomes_zero(value: float) -> None:
    """Nothing is divided by nothing, nor by what rounding leaves of it."""
    found = moments(np.full((1000, 1), value, np.float32))
    assert (1.0,) == found.deviation


def test_a_small_feature_is_no_constant() -> None:
    """What is tiny throughout may still vary."""
    assert 1e-9 == pytest.approx(moments(np.array([[-1e-9], [1e-9]])).deviation[0])


def test_missing_values_are_refused() -> None:
    """One NaN would make all that is normalised one."""
    with pytest.raises(ValueError, match="fill missing values"):
        moments(np.array([[1.0], [np.nan]]))
