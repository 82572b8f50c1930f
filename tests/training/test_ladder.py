"""The ladder: whether a teacher is larger than it has to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import ArtifactError
from training.ladder import HALF, PADDED, Rung, judge, scaled

TEACHER = (64, 64, 96)


def rung(widths: tuple[int, ...], parameters: int, *accuracies: float) -> Rung:
    return Rung(widths=widths, parameters=parameters, multiply_adds=parameters, accuracies=accuracies)


@pytest.mark.parametrize("half,padded", [(0.93, False), (0.9369, False), (0.938, True), (0.95, True)])
def test_a_teacher_is_padded_if_half_of_it_does_as_well(half: float, padded: bool) -> None:
    """Within 0.3 points of the teacher, or above it, a network of half the size shows that it is padded."""
    found = judge([rung((48, 48, 64), 154_874, half), rung(TEACHER, 298_826, 0.94)], TEACHER)
    assert padded == found.padded
    assert found.difference == pytest.approx(0.94 - half)


def test_the_best_of_the_small_ones_is_the_rival() -> None:
    """A quarter that does better than half counts; a network of more than half doesn't, however good it is."""
    rungs = [
        rung((32, 32, 48), 75_434, 0.939, 0.941),
        rung((48, 48, 64), 154_874, 0.93, 0.92),
        rung((64, 64, 64), 200_000, 0.99, 0.99),
        rung(TEACHER, 298_826, 0.95, 0.93),
    ]
    found = judge(rungs, TEACHER)
    assert (32, 32, 48) == found.half.widths
    assert found.padded
    assert found.error == pytest.approx((0.001**2 + 0.01**2) ** 0.5)


def test_without_a_smaller_network_nothing_is_claimed() -> None:
    """Where no rung is of half the size, there is an error and no clean bill."""
    with pytest.raises(ArtifactError, match="no network of half"):
        judge([rung((16,), 100, 0.9), rung((64,), 110, 0.9)], (64,))


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.floats(0.1, 1.0))
def test_scaled_widths_are_lanes(lanes: list[int], factor: float) -> None:
    """Every width is a multiple of 16, at least 16, and within half a step of what was asked."""
    widths = tuple(16 * lane for lane in lanes)
    for before, after in zip(widths, scaled(widths, factor), strict=True):
        assert 0 == after % 16
        assert after >= 16
        assert after == 16 or abs(after - before * factor) <= 8


def test_half_of_the_recipes_teacher_counts_as_half() -> None:
    """Widths come in steps, so that 52 % of the parameters have to pass for half; and 0.3 points are 0.003."""
    assert 154_874 / 298_826 <= HALF < 0.6
    assert PADDED == pytest.approx(0.003)
