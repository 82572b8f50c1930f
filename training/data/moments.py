"""Mean and deviation of each feature: what networks normalise their raw inputs by."""

from dataclasses import dataclass

import numpy as np

from training.data.split import Array


@dataclass(frozen=True, kw_only=True)
class Moments:
    """One figure a feature: of pixels a channel each, as shares of 255."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]


def moments(values: Array) -> Moments:
    """The moments of pixels uint8 [N, C, H, W], or of features or values float [N, ..., F].

    They are to be of the training part, or it learns from the others. The deviation of a constant is given as 1, so
    that it becomes 0. Raises ValueError for what isn't finite.
    """
    pixels = values.dtype == np.uint8
    features = np.moveaxis(values, 1, -1) / 255.0 if pixels else values
    rows = features.reshape(-1, features.shape[-1]).astype(np.float64)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    if not np.isfinite(mean).all():
        raise ValueError("there are no moments of what isn't finite: fill missing values first")
    # What a constant's deviation is by rounding would blow up the rounding of its values.
    constant = deviation <= 1e-7 * np.abs(mean)
    return Moments(mean=tuple(mean.tolist()), deviation=tuple(np.where(constant, 1.0, deviation).tolist()))
