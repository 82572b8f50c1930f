"""What is brighter than what lies around it and hangs together is a thing, and a linear model says which."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from training.baselines.logistic_regression import LogisticRegression
from training.data.split import NO_BOX, Array, Images, Split
from training.errors import TrainingError
from training.metrics.detection import overlaps
from training.statistics import Values

SIDES = (7, 9, 13)
"""Pixels a side of squares that the background is smooth over, from which training chooses."""
LEVELS = (20, 30, 40, 50, 60, 80)
"""How much brighter than the background a thing is, of 255, from which training chooses."""
CHOOSING = 60
"""Pictures that these are chosen on."""
LEAST = 6
"""Pixels that are too few for a thing."""
ALIKE = 0.5
"""Intersection over union, from which on a component is the thing of a box."""
CROP = 12
"""Sides of what the linear model sees, in pixels."""
DOUBT = 0.01
"""Probabilities below are not told."""
Heights = NDArray[np.float32]
EVERYWHERE = np.ones((3, 3), np.int64)
"""Pixels that touch at a corner hang together too."""


@dataclass(frozen=True, kw_only=True)
class _Thing:
    """A component: its box x0, y0, x1, y1 [4] in pixels, and what is seen of it, uint8 [1, CROP, CROP]."""

    box: NDArray[np.float32]
    crop: Images


class Components:
    """Finds what detectors find without a network, in pictures uint8 [N, C, H, W], by the first of their channels.

    The background is taken away by a top hat (J. Serra, "Image Analysis and Mathematical Morphology", 1982), what is
    left is cut at a level, its connected components (A. Rosenfeld, J. Pfaltz, "Sequential Operations in Digital Picture
    Processing", 1966) are things, and a logistic regression of their pixels says of which of so many `classes`, or
    whether of none. Which background and level are best, and the regression, are learnt from the training part. Raises
    TrainingError if nothing of it is found so.
    """

    def __init__(self, train: Split, *, classes: int) -> None:
        self._classes = classes
        few = train.take(np.arange(min(CHOOSING, len(train))))
        above = {side: [_above(image, side) for image in few.inputs] for side in SIDES}
        self._side, self._level = max(
            product(SIDES, LEVELS), key=lambda chosen: _agreement(above[chosen[0]], few.targets, chosen[1])
        )
        crops, labels = [], []
        for image, wanted in zip(train.inputs, train.targets, strict=True):
            for thing in _things(_above(image, self._side), self._level):
                crops.append(thing.crop)
                labels.append(_label(thing, wanted[wanted[:, 0] != NO_BOX], classes))
        if not crops:
            raise TrainingError("inputs: nothing in the training part is brighter than what lies around it")
        seen = Split(inputs=np.stack(crops), targets=np.array(labels), sources=np.arange(len(labels)))
        self._model = LogisticRegression(seen, classes=classes + 1)

    def predict(self, inputs: Array) -> NDArray[np.float32]:
        """Of `inputs` the boxes float32 [N, P, 6]: class, score, x0, y0, x1, y1 in pixels; class -1 where none is."""
        found = [self._found(image) for image in inputs]
        boxes = np.zeros((len(inputs), max(map(len, found), default=0), 6), np.float32)
        boxes[:, :, 0] = NO_BOX
        for row, one in zip(boxes, found, strict=True):
            row[: len(one)] = one
        return boxes

    def _found(self, image: Images) -> NDArray[np.float32]:
        """Each component once for every class that it may be of, [P, 6]."""
        things = list(_things(_above(image, self._side), self._level))
        if not things:
            return np.zeros((0, 6), np.float32)
        shares: Values = self._model.predict(np.stack([thing.crop for thing in things]))[:, : self._classes]
        which, kinds = np.nonzero(shares >= DOUBT)
        edges = np.stack([thing.box for thing in things])[which]
        return np.column_stack([kinds, shares[which, kinds], edges]).astype(np.float32)


def _above(image: Images, side: int) -> Heights:
    """How much brighter than its background each pixel of an image uint8 [C, H, W] is, [H, W]."""
    found: Heights = ndimage.white_tophat(image[0].astype(np.float32), size=(side, side))
    return found


def _things(above: Heights, level: float) -> Iterator[_Thing]:
    """The components of what lies `above` a background, [H, W]."""
    parts, _ = ndimage.label(above >= level, structure=EVERYWHERE)
    sizes = np.bincount(parts.ravel())
    for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1):
        if sizes[number] < LEAST:
            continue
        edges = (columns.start, rows.start, columns.stop, rows.stop)
        alone = np.where(parts[rows, columns] == number, above[rows, columns], 0)
        yield _Thing(box=np.array(edges, np.float32), crop=_crop(alone))


def _crop(seen: Heights) -> Images:
    """A component [H, W] in the middle of a square of CROP pixels a side, its brightest pixel white."""
    height, width = seen.shape
    side = max(height, width)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = seen / seen.max()
    sized = functional.interpolate(
        torch.from_numpy(square)[None, None], size=(CROP, CROP), mode="bilinear", antialias=True
    )
    crop: Images = (255 * sized[0]).round().clamp(0, 255).to(torch.uint8).numpy()
    return crop


def _label(thing: _Thing, wanted: NDArray[np.float32], nothing: int) -> int:
    """The class of the box [M, 5] that this is the thing of, or that of `nothing`."""
    shared = overlaps(thing.box[None], wanted[:, 1:])[0]
    return int(wanted[shared.argmax(), 0]) if shared.max(initial=0) >= ALIKE else nothing


def _agreement(above: Sequence[Heights], targets: Array, level: float) -> float:
    """How well components and boxes cover each other: the mean overlap of each with the best of the others."""
    covered: list[float] = []
    for one, boxes in zip(above, targets, strict=True):
        wanted = boxes[boxes[:, 0] != NO_BOX, 1:]
        found = np.array([thing.box for thing in _things(one, level)], np.float32).reshape(-1, 4)
        shared = overlaps(found, wanted)
        covered += [*shared.max(axis=0, initial=0), *shared.max(axis=1, initial=0)]
    return float(np.mean(covered)) if covered else 0.0
