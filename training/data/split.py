"""Labelled images, and how they are cut into training, validation and test parts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Sources = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """One part of a dataset: `images` uint8 [N, C, H, W] in 0..255, `labels` int64 [N].

    `sources` int64 [N] says of what each image is a view: images of the same source are no independent samples.
    """

    images: Images
    labels: Labels
    sources: Sources

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: NDArray[np.int64]) -> "Split":
        """What is at these positions; one that is named twice is taken twice, as the same source."""
        return Split(images=self.images[indices], labels=self.labels[indices], sources=self.sources[indices])


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset in three parts that share no source, and the names of its classes."""

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
