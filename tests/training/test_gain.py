"""How sure a gain is, and what is made of it where it isn't."""

import numpy as np
import pytest

from tests.training.compression.search.doubles import trial
from training.compression.search.budget import Budget
from training.compression.search.front import choose
from training.compression_report import times
from training.gain import ITSELF, Gain, Interval, gain, of_median
from training.timing import Timing


@pytest.mark.parametrize("rounds, first", [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (20, 5)])
def test_the_interval_is_that_of_the_sign_test(rounds: int, first: int) -> None:
    """Tables of the test have these ranks, from 0; with less than six rounds no rank will do, and it is the range."""
    values = np.random.default_rng(rounds).permutation(np.arange(float(rounds)))
    assert Interval(low=first, high=rounds - 1 - first) == of_median(values)


def test_it_holds_the_median_as_often_as_it_says() -> None:
    """Of 2,000 times ten rounds of lopsided noise: at least 95 %."""
    random = np.random.default_rng(1)
    found = [of_median(random.exponential(size=10)) for _ in range(2000)]
    assert 0.95 <= np.mean([one.low <= np.log(2) <= one.high for one in found]) < 0.99


def test_gains_have_intervals_of_rounds() -> None:
    """But for what isn't timed, which is exact."""
    noise = np.array([1.0, 1.1, 0.9, 1.2, 1.0, 0.8])

    def timings(seconds: float, noise: np.ndarray) -> dict[int, Timing]:
        return {1: Timing(requests=seconds * noise[:, None].repeat(3, axis=1), compute=seconds * noise)}

    found = gain(timings(1.0, np.ones(6)), timings(2.0, noise), size=3.0)
    assert (2.0, 2.0, 2.0) == (found.compute, found.latency, found.throughput)
    for name in ("compute", "latency", "throughput"):
        assert (1.6, 2.4) == pytest.approx((found.interval(name).low, found.interval(name).high))
    assert Interval(low=3.0, high=3.0) == found.interval("size")
    assert Interval(low=1.0, high=1.0) == ITSELF.interval("compute")


def faster(low: float, value: float, high: float) -> Gain:
    return Gain(
        size=1.0, compute=value, latency=value, throughput=value, intervals={"compute": Interval(low=low, high=high)}
    )


def test_what_cant_be_told_apart_is_chosen_by_what_it_loses() -> None:
    """Of two that are alike the one that loses less; what is surely faster is worth what it loses."""
    teacher = trial("teacher", 0.0, ITSELF)
    exact, wild = trial("exact", 0.001, faster(1.8, 2.0, 2.2)), trial("wild", 0.005, faster(1.9, 2.6, 3.0))
    sure, doubtful = trial("sure", 0.009, faster(2.9, 3.0, 3.1)), trial("doubtful", 0.0005, faster(0.9, 2.5, 3.0))
    budget = Budget(max_drop=0.01)
    assert "exact" == choose([teacher, exact, wild], budget).chosen.design.numbers
    assert "sure" == choose([teacher, exact, wild, sure], budget).chosen.design.numbers
    assert "exact" == choose([teacher, doubtful, exact, wild], budget).chosen.design.numbers


def test_what_may_be_no_faster_isnt_chosen_nor_called_faster() -> None:
    """The teacher can't be told from it, and loses nothing."""
    teacher, doubtful = trial("teacher", 0.0, ITSELF), trial("static", 0.002, faster(0.9, 1.2, 1.4))
    assert teacher == choose([teacher, doubtful], Budget(max_drop=0.01)).chosen
    assert "1.20x [0.90-1.40] by latency, which may be nothing" == times(doubtful.gain, "latency")
    assert "2.00x [1.80-2.20] by latency" == times(faster(1.8, 2.0, 2.2), "latency")
    assert "1.00x by size" == times(doubtful.gain, "size")
