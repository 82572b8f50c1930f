"""The best that a sum of weighted inputs can do for classes."""

import numpy as np
from sklearn.linear_model import LogisticRegression as Multinomial

from training.baselines.rows import Rows
from training.data.split import Array, Split
from training.errors import TrainingError
from training.statistics import Values

ROUNDS = 5000
"""Far more than any of our data takes."""


class LogisticRegression:
    """Multinomial regression from the training inputs to the training labels, with scikit-learn's own penalty.

    Raises TrainingError if the labels are all of one class.
    """

    def __init__(self, train: Split, *, classes: int) -> None:
        self._classes = classes
        if len(np.unique(train.targets)) < 2:
            raise TrainingError("targets: the training part has one class alone, so there is nothing to tell apart")
        self._rows = Rows(train)
        self._model = Multinomial(max_iter=ROUNDS).fit(self._rows(train.inputs), train.targets)

    def predict(self, inputs: Array) -> Values:
        """Of `inputs` [N, ...] the probabilities [N, classes]; 0 for a class that the training part didn't have."""
        found = np.zeros((len(inputs), self._classes))
        found[:, self._model.classes_] = self._model.predict_proba(self._rows(inputs))
        return found
