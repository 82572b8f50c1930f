"""The one measure by which trials compare answers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from service.engine.trials.difference import BEYOND, FLOOR, difference, largest

FLOATS = arrays.arrays(np.float32, arrays.array_shapes(max_dims=3), elements=st.floats(width=32))
FINITE = arrays.arrays(np.float64, arrays.array_shapes(max_dims=3), elements=st.floats(-1e6, 1e6))
NAN, INF = float("nan"), float("inf")


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


@given(FLOATS)
def test_an_answer_does_not_differ_from_itself(answer: NDArray[Any]) -> None:
    """Whatever it holds: NaN and infinity agree with themselves."""
    assert 0.0 == difference(answer, answer.copy())


@given(FINITE, st.floats(-0.5, 0.5))
def test_it_is_a_share_of_the_largest_element(answer: NDArray[Any], share: float) -> None:
    """Scaling all elements differs by the scale; nothing differs by more than the tolerance that it stays within."""
    found = difference(answer, answer * (1 + share))

    assert found <= abs(share) * (1 + 1e-9) + 1e-12
    if np.abs(answer).max() > FLOOR:
        assert found == pytest.approx(abs(share), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    "expected, found, differ",
    [
        (floats(1, 100), floats(2, 100), 0.01),
        (floats(0, 0), floats(0, 1e-8), 0.01),
        (floats(1, NAN), floats(1, 2), BEYOND),
        (floats(1, 2), floats(1, NAN), BEYOND),
        (floats(1, 2), floats(1, INF), BEYOND),
        (floats(NAN, INF, 100), floats(NAN, INF, 99), 0.01),
        (floats(1, INF), floats(1, -INF), BEYOND),
        (floats(1, 2), floats(1), BEYOND),
        (np.array([1e308]), np.array([-1e308]), 2.0),
        (floats(), floats(), 0.0),
        (np.array([900, 1, 2, 3]), np.array([901, 1, 2, 3]), 0.25),
        (np.array([True, False]), np.array([True, True]), 0.5),
        (np.array([b"a", b"b"], object), np.array([b"a", b"c"], object), 0.5),
    ],
)
def test_what_differs_by_how_much(expected: NDArray[Any], found: NDArray[Any], differ: float) -> None:
    """Floats by their largest difference, others by the share that isn't the same; NaN only agrees with NaN."""
    assert differ == pytest.approx(difference(expected, found))


def test_of_several_outputs_the_worst_counts() -> None:
    """A class that flipped isn't outweighed by scores that agree."""
    assert 0.5 == largest([floats(1, 2), np.array([3, 4])], [floats(1, 2), np.array([3, 5])])
    assert 0.0 == largest([], [])
