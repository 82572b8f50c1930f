"""This season will be as the last."""

import numpy as np

from service.errors import SettingsError
from training.data.split import Array, Split
from training.statistics import Values


class SeasonalNaive:
    """Says for each of the next values what was `period` steps before, as many as the training targets [N, K] have.

    `feature` is which of a window's is foretold. Raises SettingsError if windows are shorter than a period. Source:
    R. J. Hyndman, G. Athanasopoulos, "Forecasting: Principles and Practice" (2021), section 5.2.
    """

    def __init__(self, train: Split, *, period: int, feature: int = 0) -> None:
        length = train.inputs.shape[1]
        if not 1 <= period <= length:
            raise SettingsError(f"period: {period} steps aren't within windows of {length}; lengthen them or say less")
        self._back = np.arange(train.targets.shape[1]) % period - period  # [K]
        self._feature = feature

    def predict(self, inputs: Array) -> Values:
        """Of windows [N, T, F] the next values [N, K]."""
        return inputs[:, self._back, self._feature].astype(np.float64)
