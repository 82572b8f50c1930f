"""What values and forecasts have to beat: means, what was last, what was a season ago, and a linear model."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from service.errors import SettingsError
from tests.training.baselines.parts import part
from training.baselines.baseline import Baseline
from training.baselines.last_value import LastValue
from training.baselines.linear_regression import LinearRegression
from training.baselines.mean_value import MeanValue
from training.baselines.seasonal_naive import SeasonalNaive
from training.bootstrap import Resampling
from training.metrics.regression import measure

FEW = Resampling(rounds=60)
WINDOWS = np.arange(24, dtype=np.float32).reshape(2, 6, 2)


def test_the_mean_is_that_of_training() -> None:
    """Of each output, whatever is asked."""
    model: Baseline = MeanValue(part(np.zeros((2, 1)), np.array([[1.0, 10.0], [3.0, 20.0]], np.float32)))
    assert [[2.0, 15.0]] * 3 == model.predict(np.zeros((3, 1))).tolist()


def test_tomorrow_is_as_today() -> None:
    """The last value of the feature, for each of the next."""
    train = part(WINDOWS, np.zeros((2, 3)))
    assert [[10, 10, 10], [22, 22, 22]] == LastValue(train).predict(WINDOWS).tolist()
    assert [[11, 11, 11], [23, 23, 23]] == LastValue(train, feature=1).predict(WINDOWS).tolist()


def test_this_season_is_as_the_last() -> None:
    """What was a period before, and the same again where more is asked than a period has."""
    train = part(WINDOWS, np.zeros((2, 5)))
    assert [6, 8, 10, 6, 8] == SeasonalNaive(train, period=3).predict(WINDOWS)[0].tolist()
    assert [1, 3, 5, 7, 9] == SeasonalNaive(train, period=6, feature=1).predict(WINDOWS)[0].tolist()
    assert np.array_equal(LastValue(train).predict(WINDOWS), SeasonalNaive(train, period=1).predict(WINDOWS))


@pytest.mark.parametrize("period", [0, 7])
def test_a_season_fits_into_a_window(period: int) -> None:
    """One that is longer than the windows, or no time at all, is refused."""
    with pytest.raises(SettingsError, match=f"period: {period} steps aren't within windows of 6"):
        SeasonalNaive(part(WINDOWS, np.zeros((2, 5))), period=period)


def test_a_line_is_found() -> None:
    """Targets that are sums of weighted features are predicted exactly, also of windows and with constant columns."""
    random = np.random.default_rng(1)
    windows = random.normal(size=(30, 3, 2)) * [1, 100] + 5
    windows[:, 0, 0] = 7.0
    targets = windows[:, 1] @ np.array([[1.0, 2.0], [0.5, -1.0]]) + 3
    model = LinearRegression(part(windows[:20], targets[:20]))
    assert targets[20:] == pytest.approx(model.predict(windows[20:]))


def test_real_values_are_better_than_their_mean() -> None:
    """On diabetes a linear model explains what the mean doesn't, which explains nothing."""
    inputs, values = load_diabetes(return_X_y=True)
    train, test = part(inputs[:300], values[:300, None]), part(inputs[300:], values[300:, None])
    models = (MeanValue(train), LinearRegression(train))
    mean, linear = (measure(one.predict(test.inputs), test.targets, test.sources, ("y",), FEW) for one in models)
    assert pytest.approx(0.0, abs=0.02) == mean.r2.mean.value
    assert linear.r2.mean.low > 0.3
    assert linear.mae.mean.high < mean.mae.mean.low
