"""The best that a linear autoencoder can do."""

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from service.errors import SettingsError
from training.baselines.rows import flat
from training.data.split import Array, Split
from training.statistics import Values


class PrincipalComponents:
    """Reconstructs inputs from their `components` coordinates along which the training inputs vary most.

    Raises SettingsError if there are fewer inputs or numbers in one than components. Source: P. Baldi, K. Hornik,
    "Neural Networks and Principal Component Analysis", 1989: no linear network between as few numbers does better.
    """

    def __init__(self, train: Split, *, components: int) -> None:
        rows = flat(train.inputs)
        if not 1 <= components <= min(rows.shape):
            raise SettingsError(f"components: {components} aren't within 1 to {min(rows.shape)}, which the data allow")
        self._model = PCA(components, svd_solver="full").fit(rows)

    def reconstruct(self, inputs: Array) -> NDArray[np.float32]:
        """`inputs` [N, ...] as they come back, float32 of the same shape; pixels as shares of 255."""
        return self._back(inputs).astype(np.float32).reshape(inputs.shape)

    def predict(self, inputs: Array) -> Values:
        """Of `inputs` [N, ...] how strange they are, [N]: the mean squared error of their reconstruction."""
        found: Values = np.square(self._back(inputs) - flat(inputs)).mean(axis=1)
        return found

    def _back(self, inputs: Array) -> Values:
        found: Values = self._model.inverse_transform(self._model.transform(flat(inputs)))
        return found
