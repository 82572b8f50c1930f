"""Inputs and what is wanted of them, and how they are cut into training, validation and test parts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Sources = NDArray[np.int64]
Array = NDArray[Any]

NO_TAG = -100
"""The tag of a token that has none."""
NO_BOX = -1
"""The class of a box that isn't there."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of a dataset: `inputs` [N, ...] and `targets` [N, ...], what is wanted of each.

    Inputs are pixels uint8 [N, C, H, W] in 0..255, features float32 [N, F], windows float32 [N, T, F], or ids int64
    [N, T] with 0 as padding. Targets are labels int64 [N], values float32 [N, K], tags int64 [N, T] with -100 where
    there is none, masks int64 [N, H, W], or boxes float32 [N, M, 5]: class, x0, y0, x1, y1 in pixels, with class -1
    where there is none.

    `sources` int64 [N] says of what each input is a view: those of the same source are no independent samples.
    """

    inputs: Array
    targets: Array
    sources: Sources

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        """What is at these positions; one that is named twice is taken twice, as the same source."""
        return Split(inputs=self.inputs[indices], targets=self.targets[indices], sources=self.sources[indices])


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset in three parts that share no source, and the names of its classes, none where there are no classes."""

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]


def stratify(labels: Labels, fractions: tuple[float, ...], seed: int) -> tuple[NDArray[np.int64], ...]:
    """Positions of `labels` in len(fractions) + 1 disjoint parts, the last one holding what the fractions leave.

    Each class gives every part its share, rounded to the nearest image, so the parts have the proportions of the
    whole. The same labels, fractions and seed give the same parts.
    """
    random = np.random.default_rng(seed)
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        bounds = np.rint(np.cumsum(fractions) * len(members)).astype(np.int64)
        for part, piece in zip(parts, np.split(members, bounds), strict=True):
            part.append(piece)
    return tuple(np.sort(np.concatenate(part)) for part in parts)
