"""The best that a sum of weighted inputs can do for values."""

import numpy as np
from sklearn.linear_model import LinearRegression as LeastSquares

from training.baselines.rows import Rows
from training.data.split import Array, Split
from training.statistics import Values


class LinearRegression:
    """Least squares from the training inputs to the training targets [N, K]."""

    def __init__(self, train: Split) -> None:
        self._rows = Rows(train)
        self._model = LeastSquares().fit(self._rows(train.inputs), train.targets.astype(np.float64))

    def predict(self, inputs: Array) -> Values:
        """Of `inputs` [N, ...] the values [N, K]."""
        found: Values = self._model.predict(self._rows(inputs))
        return found
