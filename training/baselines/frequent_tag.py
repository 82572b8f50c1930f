"""The tag that a token has most often."""

import numpy as np

from training.data.split import NO_TAG, Array, Labels, Split


class FrequentTag:
    """Says of a token what the training part says of it most often, of so many `tags`; of a new one, what of all.

    Source: E. Charniak et al., "Equations for Part-of-Speech Tagging", AAAI 1993: it gets nine tenths right there.
    """

    def __init__(self, train: Split, *, tags: int) -> None:
        tagged = train.targets != NO_TAG
        counts = np.zeros((int(train.inputs.max()) + 1, tags), np.int64)
        np.add.at(counts, (train.inputs[tagged], train.targets[tagged]), 1)
        self._common = int(counts.sum(axis=0).argmax())
        self._tags = np.where(counts.any(axis=1), counts.argmax(axis=1), self._common)

    def predict(self, inputs: Array) -> Labels:
        """Of ids int64 [N, T] the tags int64 [N, T]."""
        known = inputs < len(self._tags)
        return np.where(known, self._tags[np.where(known, inputs, 0)], self._common)
