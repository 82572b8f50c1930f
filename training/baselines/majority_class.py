"""The class that there is most of."""

import numpy as np

from training.data.split import Array, Split
from training.statistics import Values


class MajorityClass:
    """Says of everything what the training labels say of chance: the share of each of so many `classes`."""

    def __init__(self, train: Split, *, classes: int) -> None:
        self._shares: Values = np.bincount(train.targets, minlength=classes) / len(train)

    def predict(self, inputs: Array) -> Values:
        """Of `inputs` [N, ...] the probabilities [N, classes], the same for all; the largest is the majority's."""
        return np.tile(self._shares, (len(inputs), 1))
