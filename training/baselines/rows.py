"""Inputs of any kind as rows of numbers, which is what linear models take."""

import numpy as np
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import StandardScaler

from training.data.split import Array, Split
from training.statistics import Values


def flat(inputs: Array) -> Values:
    """Pixels as shares of 255, other numbers as they are: [N, ...] to [N, D]."""
    rows = inputs.reshape(len(inputs), -1).astype(np.float64)
    return rows / 255.0 if inputs.dtype == np.uint8 else rows


class Rows:
    """How inputs become rows, fitted on the training part.

    Numbers are centred and brought to a deviation of 1; pixels are centred only, or those that hardly ever changed, at
    the edges, would outweigh all others as soon as a picture is moved. Of ids int64 [N, T] it is how often each is in a
    text, order and padding (0) left out, weighted by how rare it is. Source: G. Salton, C. Buckley, "Term-weighting
    Approaches in Automatic Text Retrieval", 1988.
    """

    def __init__(self, train: Split) -> None:
        self._tokens = int(train.inputs.max()) + 1 if train.inputs.dtype == np.int64 else 0
        pixels = train.inputs.dtype == np.uint8
        self._scale = TfidfTransformer(sublinear_tf=True) if self._tokens else StandardScaler(with_std=not pixels)
        self._scale.fit(self._plain(train.inputs))

    def __call__(self, inputs: Array) -> Array:
        """`inputs` [N, ...] as rows [N, D], sparse ones of texts."""
        found: Array = self._scale.transform(self._plain(inputs))
        return found

    def _plain(self, inputs: Array) -> Values:
        if not self._tokens:
            return flat(inputs)
        counts = np.zeros((len(inputs), self._tokens))
        # What the training part didn't have says nothing to what was fitted on it.
        row, place = np.nonzero((inputs > 0) & (inputs < self._tokens))
        np.add.at(counts, (row, inputs[row, place]), 1)
        return counts
