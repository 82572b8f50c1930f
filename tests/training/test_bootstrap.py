"""Intervals by resampling: what they promise, held against simulation and against formulas."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.bootstrap import DRAWS, Resampling, Statistic, averaged, block_of, bootstrap, figure, with_mean
from training.errors import Immeasurable
from training.statistics import Z_95, Values

FEW = Resampling(rounds=200)


def mean_of(values: Values) -> Statistic:
    return lambda chosen: np.asarray(values[chosen].mean())


def test_an_interval_of_a_mean_is_that_of_the_formula() -> None:
    """Of many independent values: the mean, and 1.96 standard errors either way."""
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    found = figure(bootstrap(mean_of(values), np.arange(400), DRAWS, bounds=(-np.inf, np.inf)))
    error = values.std() / np.sqrt(400)
    assert pytest.approx(values.mean()) == found.value
    assert (found.value - Z_95 * error, found.value + Z_95 * error) == pytest.approx((found.low, found.high), abs=0.03)


@pytest.mark.parametrize("views", [1, 4])
def test_intervals_hold_the_truth(views: int) -> None:
    """In about 95 of 100 test parts they hold the true root mean square, views of one source going together or not."""
    random = np.random.default_rng(2)
    held = 0
    for _ in range(150):
        sources = np.repeat(np.arange(80), views)
        errors = np.repeat(random.normal(size=80), views)

        def rms(chosen: np.ndarray, errors: Values = errors) -> Values:
            return np.asarray(np.sqrt(np.square(errors[chosen]).mean()))

        value, low, high = bootstrap(rms, sources, FEW, bounds=(0.0, np.inf))
        assert low <= value <= high
        held += bool(low <= 1.0 <= high)
    assert 0.88 * 150 <= held <= 0.99 * 150


@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=30), seed=st.integers(0, 5))
def test_an_interval_holds_its_value_within_bounds(values: list[float], seed: int) -> None:
    """Whatever the values, low <= value <= high, none beyond the bounds."""
    resampling = Resampling(rounds=40, seed=seed)
    value, low, high = bootstrap(mean_of(np.array(values)), np.arange(len(values)), resampling)
    assert 0 <= low <= value <= high <= 1


def test_what_drawing_shifts_stays_in_its_interval() -> None:
    """How many are different is less in every draw, by a third; the interval is around what was found nevertheless."""
    found = bootstrap(lambda chosen: np.asarray(len(set(chosen.tolist())) / 200), np.arange(200), FEW)
    assert [1.0, 1.0] == [found[0], found[2]]
    assert 0.9 < found[1] < 1.0


def test_views_of_a_source_are_drawn_together() -> None:
    """Every draw has whole sources, as many as there are, whatever order their views stand in."""
    sources = np.array([7, 3, 7, 9, 3, 7])

    def whole(chosen: np.ndarray) -> Values:
        counts = np.bincount(chosen, minlength=6)
        for source in (3, 7, 9):
            assert 1 == len(set(counts[sources == source].tolist()))
        assert 3 == sum(counts[np.array([0, 1, 3])])
        return np.zeros(1)

    bootstrap(whole, sources, FEW)


def autocorrelated(length: int, share: float, seed: int) -> Values:
    """A first-order autoregression, each value that `share` of the last and normal noise, about 0."""
    noise = np.random.default_rng(seed).normal(size=length)
    values: Values = noise / np.sqrt(1 - share**2)
    for place in range(1, length):
        values[place] = share * values[place - 1] + noise[place]
    return values


def test_blocks_hold_the_truth_of_what_goes_together() -> None:
    """Neighbours that are alike say less than as many strangers: drawn one by one, the mean is missed too often."""
    held, blocks = {1: 0, 12: 0}, replace(FEW, block=12)
    for seed in range(100):
        values = autocorrelated(240, 0.6, seed)
        widths = {}
        for resampling in (FEW, blocks):
            value, low, high = bootstrap(mean_of(values), np.arange(240), resampling, bounds=(-np.inf, np.inf))
            assert low <= value <= high
            held[resampling.block] += bool(low <= 0 <= high)
            widths[resampling.block] = high - low
        assert widths[1] < widths[12]
    assert held[1] < 80
    assert held[12] > 86


def test_blocks_of_what_does_not_go_together_are_as_wide() -> None:
    """Where neighbours are strangers, blocks change little."""
    widths = []
    for block in (1, 5):
        _, low, high = bootstrap(
            mean_of(autocorrelated(2000, 0.0, 4)), np.arange(2000), replace(DRAWS, block=block), bounds=(-9, 9)
        )
        widths.append(high - low)
    assert pytest.approx(widths[0], rel=0.15) == widths[1]


def test_a_block_follows_the_sources_by_their_numbers() -> None:
    """Whatever order they stand in; there are as many in a draw, so that the last block may be cut short."""
    sources = np.array([20, 3, 12, 7, 9])
    begun = set()

    def rows(chosen: np.ndarray) -> Values:
        ranks = np.argsort(np.argsort(sources))[chosen]
        assert 5 == len(ranks)
        assert (1, 1) == (ranks[1] - ranks[0], ranks[3] - ranks[2]) or (chosen == np.arange(5)).all()
        begun.add(int(ranks[4]))
        return np.zeros(1)

    bootstrap(rows, sources, replace(FEW, block=2))
    assert {0, 1, 2, 3} <= begun
    with pytest.raises(ValueError, match="block: must be at least 1 source"):
        Resampling(block=0)


def test_a_block_is_a_season_or_the_cube_root() -> None:
    """Whichever is longer, but of a season no more than leaves ten; views of one source count once."""
    found = [block_of(np.arange(count), season) for count, season in ((64, 0), (640, 12), (640, 99), (8, 99))]
    assert [4, 12, 64, 2] == found
    assert 5 == block_of(np.arange(250) // 2, 1)
    value, low, high = bootstrap(mean_of(np.arange(4.0)), np.arange(4), replace(FEW, block=99), bounds=(0, 9))
    assert 0 < low < value < high < 3


def test_the_same_seed_draws_the_same() -> None:
    """Equal seeds give equal bounds, another seed others; the global random state is left alone."""
    values = np.random.default_rng(3).random(50)
    before = str(np.random.get_state())  # noqa: NPY002
    first, again, other = (
        bootstrap(mean_of(values), np.arange(50), Resampling(rounds=100, seed=seed)).tolist() for seed in (1, 1, 2)
    )
    assert first == again != other
    assert before == str(np.random.get_state())  # noqa: NPY002


def test_what_a_draw_leaves_undefined_isnt_counted() -> None:
    """A figure that is NaN in draws has bounds from the others; one that is NaN in the whole stays NaN, unnamed."""
    kinds = np.arange(12) % 6

    def shares(chosen: np.ndarray) -> Values:
        drawn = kinds[chosen]
        return with_mean(np.array([0.5 if (drawn == 0).any() else np.nan, np.nan, (drawn < 3).mean()]))

    found = bootstrap(shares, np.arange(12), FEW)
    assert [0.5, 0.5, 0.5] == found[1].tolist()
    assert np.isnan(found[2]).all()
    told = averaged(found, ("some", "none", "all"))
    assert ["some", "all"] == list(told.each)
    assert pytest.approx(0.5) == told.mean.value
    assert told.mean.low < 0.5 < told.mean.high


def test_one_source_has_no_interval() -> None:
    """Views of one thing say nothing of chance; too few draws none of a twentieth."""
    with pytest.raises(Immeasurable, match="at least two sources"):
        bootstrap(mean_of(np.ones(5)), np.zeros(5, np.int64), DRAWS)
    with pytest.raises(ValueError, match="at least 40"):
        Resampling(rounds=39)
