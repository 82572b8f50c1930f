"""Batch sizes are compared while they are used, on a machine that changes its pace all the time."""

import random
from statistics import mode

from hypothesis import given
from hypothesis import strategies as st

from service.engine.tuning import SELDOMEST, Tuning

SIZES = (1, 2, 4, 8, 16)


def batches(
    tuning: Tuning, count: int, row_seconds: dict[int, float], seed: int = 1, scatter: float = 0.1
) -> list[int]:
    """The sizes of so many batches. The machine's pace wanders between one and three times the fastest."""
    chance = random.Random(seed)
    pace, sizes = 1.0, []
    for _ in range(count):
        pace = min(max(pace * chance.lognormvariate(0, 0.05), 1.0), 3.0)
        sizes.append(tuning.next())
        tuning.observe(sizes[-1], sizes[-1] * row_seconds[sizes[-1]] * pace * chance.lognormvariate(0, scatter))
    return sizes


@given(st.sampled_from(SIZES), st.sampled_from(SIZES), st.integers(0, 10**6))
def test_the_best_size_is_found_wherever_it_began(start: int, best: int, seed: int) -> None:
    """Though the pace changes threefold, and a batch scatters by a tenth where sizes differ by a fifth."""
    steps = {size: abs(SIZES.index(size) - SIZES.index(best)) for size in SIZES}
    tuning = Tuning(SIZES, start)
    sizes = batches(tuning, 2500, {size: 0.01 * 1.2 ** steps[size] for size in SIZES}, seed)

    assert best == mode(sizes[-1000:])


def test_others_are_tried_ever_less_often() -> None:
    """Once nothing is gained, one batch in fifty is of another size."""
    tuning = Tuning(SIZES, 4)
    sizes = batches(tuning, 4000, dict.fromkeys((1, 2, 8, 16), 0.02) | {4: 0.01})

    assert 4 == tuning.usual
    assert 0 < sum(size != 4 for size in sizes[-1000:]) <= 1000 / SELDOMEST + 1


def test_a_size_without_neighbours_stays() -> None:
    """There is nothing to compare it with."""
    assert {4} == set(batches(Tuning((4,), 4), 100, {4: 0.01}))


@given(st.lists(st.tuples(st.integers(1, 40), st.floats(1e-6, 10.0)), max_size=200))
def test_whatever_is_observed_it_has_a_size(observed: list[tuple[int, float]]) -> None:
    """Batches also come in sizes that it didn't ask for."""
    tuning = Tuning(SIZES, 8)
    for rows, seconds in observed:
        tuning.observe(rows, seconds)
        assert {tuning.usual, tuning.next()} <= set(SIZES)
