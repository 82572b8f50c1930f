"""Two real series that statsmodels bundles.

sunspots: their mean number in each year from 1700 to 2008 (309 values). co2: parts a million in the air over Mauna Loa,
each week from 1958 to 2001 (2,284 values, of which 59 weren't measured; C. D. Keeling and T. P. Whorf, 2004).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.data.material import Material
from training.data.split import Dataset
from training.data.time_series import TimeSeries, WindowSettings


@dataclass(frozen=True, kw_only=True)
class SeriesSettings(WindowSettings):
    """Which `series`, and how it becomes windows."""

    series: Literal["sunspots", "co2"] = "sunspots"


def read(series: str) -> TimeSeries:
    """A whole series."""
    from statsmodels.datasets import co2, sunspots  # takes two seconds

    if series == "sunspots":
        raw = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy(np.float32)
    else:
        raw = co2.load_pandas().data["co2"].to_numpy(np.float32)
    return TimeSeries.filled((series,), raw[:, None])


def load(settings: SeriesSettings, seed: int) -> Dataset:
    """Windows float32 [N, window, 1] and the values float32 [N, horizon] after them, in order of time.

    Time alone decides the parts, whatever the `seed`. Raises SettingsError where a part is too short.
    """
    return material(settings, seed).dataset


def material(settings: SeriesSettings, seed: int) -> Material:
    """The windows for a recipe; what wasn't measured is told."""
    del seed
    series = read(settings.series)
    return Material(dataset=series.cut(settings), features=series.features, findings=tuple(series.findings()))
