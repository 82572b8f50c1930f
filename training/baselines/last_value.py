"""Tomorrow will be as today."""

import numpy as np

from training.data.split import Array, Split
from training.statistics import Values


class LastValue:
    """Says the last value of a window for each of the next, as many as the training targets [N, K] have.

    `feature` is which of a window's is foretold. Source: R. J. Hyndman, G. Athanasopoulos, "Forecasting: Principles and
    Practice" (2021), section 5.2: naive forecasts.
    """

    def __init__(self, train: Split, *, feature: int = 0) -> None:
        self._horizons = train.targets.shape[1]
        self._feature = feature

    def predict(self, inputs: Array) -> Values:
        """Of windows [N, T, F] the next values [N, K]."""
        return np.repeat(inputs[:, -1:, self._feature].astype(np.float64), self._horizons, axis=1)
