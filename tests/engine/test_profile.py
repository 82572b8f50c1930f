"""The latency profile: what it predicts, and how it follows a machine that gets slower and faster."""

import random
from itertools import pairwise
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.profile import (
    REMEMBERED,
    STALE_SECONDS,
    BucketTime,
    LatencyProfile,
    best_rows,
    bucket_sizes,
    fullest_rows,
)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def buckets(*times: tuple[int, float]) -> list[BucketTime]:
    return [BucketTime(rows=rows, median=seconds, p95=seconds) for rows, seconds in times]


LINEAR = buckets((1, 0.010), (2, 0.012), (4, 0.016), (8, 0.024))


@st.composite
def curves(draw: st.DrawFn) -> list[BucketTime]:
    times = draw(st.lists(st.floats(1e-5, 10.0), min_size=1, max_size=7))
    return buckets(*[(2**number, seconds) for number, seconds in enumerate(times)])


def test_between_measured_sizes_it_is_a_straight_line() -> None:
    """Measured sizes are predicted as measured, others in proportion; beyond the largest, as so many of it."""
    profile = LatencyProfile(LINEAR)

    assert [0.010, 0.014, 0.020, 0.048] == pytest.approx([profile.seconds(rows) for rows in (1, 3, 6, 16)])


@given(curves(), st.floats(0.1, 10.0))
def test_the_prediction_never_falls_with_more_rows(curve: list[BucketTime], seconds: float) -> None:
    """However noisy the measurement and whatever was observed, more rows take no less time."""
    profile = LatencyProfile(curve)
    profile.observe(curve[-1].rows, seconds)

    assert all(a <= b * (1 + 1e-12) for a, b in pairwise(profile.seconds(rows) for rows in range(1, 80)))


@given(curves(), st.floats(1e-6, 20.0))
def test_the_most_rows_are_those_that_still_fit(curve: list[BucketTime], available: float) -> None:
    """As many rows as fit into the time, and not one fewer, up to the largest measured batch."""
    profile = LatencyProfile(curve)
    most = profile.most_rows(available)

    assert 0 <= most <= curve[-1].rows
    if most:
        assert profile.seconds(most) <= available * (1 + 1e-9)
    if most < curve[-1].rows:
        assert profile.seconds(most + 1) > available * (1 - 1e-9)


@pytest.mark.parametrize(
    "times, best",
    [
        (((1, 0.01), (2, 0.02), (4, 0.04)), 1),
        (((1, 0.01), (2, 0.011), (4, 0.013), (8, 0.0259)), 4),
        (((1, 0.01), (2, 0.0199), (4, 0.02)), 4),
        (((1, 0.01),), 1),
    ],
)
def test_the_best_batch_is_the_last_that_gains_enough(times: tuple[tuple[int, float], ...], best: int) -> None:
    """Doubling stops where it gains less than five per cent, unless a later size gains that after all."""
    assert best == best_rows(buckets(*times))


@pytest.mark.parametrize(
    "times, fullest",
    [
        (((1, 0.01), (2, 0.02), (4, 0.04)), 4),
        (((1, 0.03), (2, 0.0595), (4, 0.115), (8, 0.228), (16, 0.55)), 8),
        (((1, 0.01), (2, 0.011), (4, 0.04)), 2),
        (((1, 0.8), (2, 0.81)), 1),
    ],
)
def test_the_fullest_batch_computes_nearly_as_much_as_any(times: tuple[tuple[int, float], ...], fullest: int) -> None:
    """The largest that is within 15 per cent of the highest throughput, of those that don't take too long."""
    assert fullest == fullest_rows(buckets(*times))


def test_sizes_to_measure() -> None:
    """Powers of two, and the maximum itself; a model without a batch axis has one size."""
    assert [(1,), (1,), (1, 2, 4, 8), (1, 2, 4, 6)] == [bucket_sizes(most) for most in (0, 1, 8, 6)]


def test_padded_batches_take_what_the_next_size_takes() -> None:
    """Between two sizes there is nothing: three rows take as long as four, and what fits is a whole size."""
    profile = LatencyProfile(LINEAR, stepped=True)

    assert [0.010, 0.016, 0.024, 0.048] == pytest.approx([profile.seconds(rows) for rows in (1, 3, 6, 16)])
    assert [0, 1, 4, 8] == [profile.most_rows(seconds) for seconds in (0.009, 0.011, 0.020, 1.0)]


def test_bad_news_counts_at_once_and_good_news_slowly() -> None:
    """Some slow batches raise all predictions soon; it takes many fast ones to lower them."""
    profile = LatencyProfile(LINEAR)
    for _ in range(8):
        profile.observe(8, 0.048)
    slow = profile.factor
    for _ in range(8):
        profile.observe(8, 0.024)

    assert slow > 1.8
    assert profile.seconds(1) > 0.016
    for _ in range(200):
        profile.observe(8, 0.024)
    assert profile.seconds(1) == pytest.approx(0.010, rel=0.1)


@pytest.mark.parametrize("spread", [0.05, 0.2])
def test_days_of_noise_leave_the_sizes_in_proportion(spread: float) -> None:
    """Most batches take less than a careful prediction says. That doesn't raise what is predicted for a row, or for
    sizes that nobody uses: a service that was busy for long would refuse what it could answer.
    """
    rng = random.Random(7)
    profile, truth = LatencyProfile(LINEAR), LatencyProfile(LINEAR)
    for _ in range(20_000):
        rows = rng.choice((3, 4))
        profile.observe(rows, truth.seconds(rows) * exp(rng.gauss(0, spread)))

    for rows in (1, 2, 8):
        assert profile.seconds(rows) / profile.seconds(4) == pytest.approx(
            truth.seconds(rows) / truth.seconds(4), rel=0.1
        )
    assert profile.seconds_per_row() == pytest.approx(profile.seconds(8) / 8)
    assert 1 < profile.seconds(4) / truth.seconds(4) < 1.6


def test_one_hiccup_is_not_a_trend() -> None:
    """A batch a thousand times as slow as predicted changes nothing; two are believed as far as an outlier may go."""
    profile = LatencyProfile(LINEAR)
    profile.observe(8, 24.0)
    once = profile.seconds(1)
    profile.observe(8, 24.0)

    assert [0.010, 0.030] == pytest.approx([once, profile.seconds(1)])


@pytest.mark.parametrize("spread", [0.02, 0.1, 0.3])
def test_what_is_promised_leaves_as_much_room_as_batches_are_spread(spread: float) -> None:
    """About 97 of 100 batches are done when it was said, on a calm machine and on an unsteady one."""
    rng = random.Random(11)
    profile, truth = LatencyProfile(LINEAR), LatencyProfile(LINEAR)
    kept = 0
    for _ in range(4_000):
        taken = truth.seconds(4) * exp(rng.gauss(0, spread))
        kept += taken <= profile.seconds(4)
        profile.observe(4, taken)

    assert 0.95 < kept / 4_000 < 0.99


def test_a_moment_that_was_slow_is_forgotten() -> None:
    """When the machine is itself again, predictions are too, after as many batches as are remembered."""
    profile = LatencyProfile(LINEAR)
    for seconds in (0.03, 0.01):
        for _ in range(REMEMBERED):
            profile.observe(1, seconds)

    assert profile.factor == pytest.approx(1.0, rel=0.2)


def test_a_profile_nobody_has_confirmed_for_long_is_hardly_believed() -> None:
    """Taken at a bad moment it would refuse everybody for ever; after some seconds without a batch it lets one by."""
    clock = Clock()
    profile = LatencyProfile(LINEAR, clock)
    clock.now = STALE_SECONDS + 1

    assert profile.seconds(1) == pytest.approx(0.001)
    profile.observe(1, 0.010)
    assert profile.seconds(1) == pytest.approx(0.010)


def test_the_longer_nobody_comes_the_less_is_believed() -> None:
    """However slow a bad moment was: in the end a request gets by. But nothing is ever foreseen to take no time."""
    clock = Clock()
    profile = LatencyProfile(LINEAR, clock)
    told = []
    for silence in (1.5, 2.5, 3.5, 1e9):
        clock.now = STALE_SECONDS * silence
        told.append(profile.seconds(1))

    assert told == pytest.approx([1e-3, 1e-4, 1e-5, 1e-5])


def test_the_curve_bends_where_the_factor_does_not_explain() -> None:
    """When one size takes longer than measured and the others don't, its own prediction rises in the end."""
    profile = LatencyProfile(LINEAR)
    for _ in range(1000):
        profile.observe(8, 0.036)
        profile.observe(1, 0.010)

    assert profile.seconds(8) / profile.seconds(1) > 3.0
