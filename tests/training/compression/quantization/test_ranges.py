"""Ranges: what is left of what an activation was seen to be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from training.compression.quantization.ranges import BINS, entropy_range, percentile_range

RANDOM = np.random.default_rng(5)


def histogram(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[np.ndarray, tuple[float, float]]:
    extremes = float(values.min()), float(values.max())
    return np.histogram(values, BINS, extremes)[0], extremes


VALUES = arrays.arrays(np.float64, st.integers(2, 300), elements=st.floats(-100, 100, width=32)).filter(
    lambda values: values.max() - values.min() > 1e-3
)


@given(VALUES, st.floats(51, 100))
def test_a_percentile_keeps_as_many_values_as_it_says(
    values: np.ndarray[tuple[int], np.dtype[np.float64]], percentile: float
) -> None:
    """The range lies within the extremes and holds at least that share of the values."""
    counts, (low, high) = histogram(values)
    lower, upper = percentile_range(counts, (low, high), percentile)
    assert low <= lower <= upper <= high
    slack = (high - low) * 1e-9
    assert ((values >= lower - slack) & (values <= upper + slack)).mean() >= percentile / 100 - 1e-9


def test_all_of_the_values_are_the_extremes() -> None:
    """The hundredth percentile cuts nothing off."""
    counts, extremes = histogram(RANDOM.normal(size=1000))
    assert percentile_range(counts, extremes, 100) == pytest.approx(extremes)


def test_ranges_are_asymmetric() -> None:
    """What a ReLU has cut off gets no codes, by either method."""
    counts, extremes = histogram(np.maximum(RANDOM.normal(size=100_000), 0))
    assert percentile_range(counts, extremes, 99.9)[0] == 0
    assert entropy_range(counts, extremes)[0] == 0


@given(VALUES)
def test_the_least_divergence_is_within_the_extremes(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    """Whatever is seen."""
    counts, (low, high) = histogram(values)
    lower, upper = entropy_range(counts, (low, high))
    assert low <= lower < upper <= high


def test_the_least_divergence_leaves_outliers_out() -> None:
    """Of a normal distribution with one value a hundred times as large, hardly more than the distribution is kept;
    of a uniform one everything is.
    """
    counts, extremes = histogram(np.append(RANDOM.normal(size=100_000), 400.0))
    assert 2 < entropy_range(counts, extremes)[1] < 40
    counts, extremes = histogram(RANDOM.uniform(-1, 1, size=100_000))
    lower, upper = entropy_range(counts, extremes)
    assert lower < -0.95
    assert upper > 0.95
