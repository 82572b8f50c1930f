"""The best that a sum of the pixels around can do for the class of a pixel."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from training.baselines.rows import Rows
from training.data.split import Array, Images, Labels, Split
from training.errors import TrainingError

SIDE = 9
"""Pixels a side of what is seen of a pixel, which is the middle of it."""
DRAWN = 20_000
"""Pixels of the training part that are learnt from, or all of them where there are fewer."""


class PixelDiscriminant:
    """Tells each pixel of pictures uint8 [N, C, H, W] by those around it, as pixels drawn from the training part are.

    Source: R. Fisher, "The Use of Multiple Measurements in Taxonomic Problems", 1936. On scenes of digits a logistic
    regression took four times as long and found no more. Raises TrainingError if what is drawn is all of one class.
    """

    def __init__(self, train: Split) -> None:
        labels = train.targets.reshape(-1)
        drawn = np.random.default_rng(0).permutation(labels.size)[:DRAWN]
        picture, row, column = np.unravel_index(drawn, train.targets.shape)
        windows = _windows(train.inputs)[picture, row, column]
        seen = Split(inputs=windows, targets=labels[drawn], sources=np.arange(len(drawn)))
        if len(np.unique(seen.targets)) < 2:
            raise TrainingError("targets: the training masks have one class alone, so there is nothing to tell apart")
        self._rows = Rows(seen)
        self._model = LinearDiscriminantAnalysis().fit(self._rows(windows), seen.targets)

    def predict(self, inputs: Array) -> Labels:
        """Of `inputs` the masks int64 [N, H, W]."""
        return np.stack([self._mask(image[None]) for image in inputs])

    def _mask(self, image: Images) -> Labels:
        windows = _windows(image)[0]
        rows, columns = windows.shape[:2]
        found: Labels = self._model.predict(self._rows(windows.reshape(rows * columns, *windows.shape[2:])))
        return found.reshape(rows, columns)


def _windows(images: Images) -> Images:
    """What is around each pixel of images [N, C, H, W], their edges going on: [N, H, W, C, SIDE, SIDE], a view."""
    around = SIDE // 2
    padded = np.pad(images, ((0, 0), (0, 0), (around, around), (around, around)), mode="edge")
    return np.moveaxis(sliding_window_view(padded, (SIDE, SIDE), axis=(2, 3)), 1, 3)
