"""Windows of the past, and what followed."""

from typing import Literal

import numpy as np
import pytest

from service.errors import SettingsError
from tests.training.data.parts import assert_apart, assert_array, assert_same, parts
from training.data import series
from training.data.checks import check
from training.data.series import SeriesSettings
from training.data.shares import Shares


@pytest.mark.parametrize("name, window, horizon", [("sunspots", 24, 1), ("co2", 52, 13)])
def test_windows_are_followed_by_what_followed(name: Literal["sunspots", "co2"], window: int, horizon: int) -> None:
    """Each window and its values are a stretch of the series, in order, and nothing of them is in two parts."""
    settings = SeriesSettings(series=name, window=window, horizon=horizon)
    dataset = series.load(settings, seed=7)
    whole = series.read(name).values[:, 0]
    after = 0
    for part in parts(dataset):
        assert_array(part.inputs, np.float32, (len(part), window, 1))
        assert_array(part.targets, np.float32, (len(part), horizon))
        told = np.concatenate([part.inputs[:, :, 0], part.targets], axis=1)
        spans = np.lib.stride_tricks.sliding_window_view(whole[after:], window + horizon)
        places = [int(np.flatnonzero((spans == row).all(axis=1))[0]) for row in told]
        assert sorted(set(places)) == places
        after += places[-1] + window + horizon
    assert after <= len(whole)
    assert_apart(dataset)
    assert () == check(dataset)


def test_gaps_are_filled_by_what_was_before_and_never_asked_for() -> None:
    """59 weeks of CO2 weren't measured: no value comes from later, and none is invented to be foretold."""
    whole = series.read("co2")
    assert (2284, 59) == (len(whole.values), int((~whole.measured).sum()))
    gaps = np.flatnonzero(~whole.measured[:, 0])
    assert np.array_equal(whole.values[gaps], whole.values[gaps - 1])
    asked = sum(len(part) for part in parts(series.load(SeriesSettings(series="co2", window=10), seed=7)))
    assert 2284 - 59 - 3 * 10 <= asked <= 2284 - 59 - 20


def test_time_alone_decides_the_parts() -> None:
    """What is tested comes last, whatever the seed."""
    assert_same(series.load(SeriesSettings(), seed=7), series.load(SeriesSettings(), seed=8))


def test_a_part_that_is_too_short_is_refused() -> None:
    """With how many steps it has, and how many it takes."""
    with pytest.raises(SettingsError, match="`sunspots`: a part has 31 steps, window and horizon take 60"):
        series.load(SeriesSettings(window=50, horizon=10, shares=Shares(validation=0.1, test=0.1)), seed=7)
    with pytest.raises(ValueError, match="window, horizon: must be at least 1"):
        SeriesSettings(horizon=0)
