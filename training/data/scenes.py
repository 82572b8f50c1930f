"""Scenes composed of digits on an uneven background, with the exact box and mask of each.

The digits are real scans; where they lie, how large and how bright they are is drawn by a seed. None covers another,
so boxes and masks are those of what is seen, to the pixel.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch.nn import functional

from service.artifact.card import Grayscale, Resize, ToTensor
from training.data.digits import CLASSES, enlarge
from training.data.material import Material
from training.data.shares import Shares
from training.data.split import NO_BOX, Array, Dataset, Images, Labels, Split

BACKGROUND = "background"
INK = 64
"""What is at least as bright as this, of 255, in a scan belongs to its digit; less is the blur of its edge."""
TRIES = 20
"""A digit that finds no free place in so many draws is left out."""


@dataclass(frozen=True, kw_only=True)
class ScenesSettings:
    """`targets` are boxes or masks. A scene is `size` pixels a side, with 1 to `most` digits.

    A digit is between `smallest` and `largest` pixels a side, its border included. `train`, `validation` and
    `test` are how many scenes there are, `shares` those of the scans that they are made of.
    """

    targets: Literal["boxes", "masks"] = "boxes"
    size: int = 48
    most: int = 3
    smallest: int = 12
    largest: int = 20
    train: int = 2000
    validation: int = 300
    test: int = 500
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self) -> None:
        if not 8 <= self.smallest <= self.largest <= self.size <= 512:
            raise ValueError("smallest, largest, size: must be 8 <= smallest <= largest <= size <= 512 pixels")
        if min(self.most, self.train, self.validation, self.test) < 1:
            raise ValueError("most, train, validation, test: must be at least 1")


def load(settings: ScenesSettings, seed: int) -> Dataset:
    """Pixels uint8 [N, 1, size, size], and boxes float32 [N, most, 5] or masks int64 [N, size, size].

    A box is class, x0, y0, x1, y1 in pixels, its right and lower side behind its last pixel, of what the mask has. In
    masks 0 is `background`, which is the first of `classes` then, and a digit is one more than itself. The parts are
    made of scans that no other has. A scene is a source of its own, though scans are drawn again for another one.
    """
    scans = load_digits()
    numbers = np.arange(len(scans.target))
    classes = CLASSES if settings.targets == "boxes" else (BACKGROUND, *CLASSES)
    made = []
    first = 0
    parts = settings.shares.positions(numbers, scans.target.astype(np.int64), seed)
    for part, count in zip(parts, (settings.train, settings.validation, settings.test), strict=True):
        random = np.random.default_rng((seed, first))
        composer = _Composer(scans.images[part], scans.target[part], settings, random)
        made.append(composer.compose(np.arange(first, first + count)))
        first += count
    train, validation, test = made
    return Dataset(train=train, validation=validation, test=test, classes=classes)


def material(settings: ScenesSettings, seed: int) -> Material:
    """The scenes for a recipe, and how other pictures become inputs."""
    steps = (
        Grayscale(),
        Resize(height=settings.size, width=settings.size, filter="area"),
        ToTensor(layout="CHW", datatype="UINT8"),
    )
    return Material(dataset=load(settings, seed), steps=steps)


class _Composer:
    """Makes the scenes of one part out of its `scans` [N, 8, 8] of `digits` [N]."""

    def __init__(self, scans: Array, digits: Labels, settings: ScenesSettings, random: np.random.Generator) -> None:
        self._scans = scans
        self._digits = digits
        self._settings = settings
        self._random = random

    def compose(self, sources: NDArray[np.int64]) -> Split:
        scenes = [self._scene() for _ in sources]
        pixels, masks, boxes = (np.stack(part) for part in zip(*scenes, strict=True))
        targets = boxes if self._settings.targets == "boxes" else masks
        return Split(inputs=pixels, targets=targets, sources=sources)

    def _scene(self) -> tuple[Images, Labels, NDArray[np.float32]]:
        """Pixels [1, size, size], mask [size, size] and boxes [most, 5]."""
        size = self._settings.size
        pixels = self._background()
        mask = np.zeros((size, size), dtype=np.int64)
        boxes = np.zeros((self._settings.most, 5), dtype=np.float32)
        boxes[:, 0] = NO_BOX
        for index in range(self._random.integers(1, self._settings.most + 1)):
            chosen = self._random.integers(len(self._scans))
            side = int(self._random.integers(self._settings.smallest, self._settings.largest + 1))
            seen = enlarge(self._scans[chosen : chosen + 1], side)[0, 0]
            if (place := self._place(mask, side)) is None:
                continue
            top, left = place
            window = np.s_[top : top + side, left : left + side]
            brightness = self._random.uniform(160, 255)
            opacity = seen / 255.0
            pixels[window] = pixels[window] * (1 - opacity) + brightness * opacity
            ink = seen >= INK
            mask[window][ink] = self._digits[chosen] + 1
            boxes[index] = (self._digits[chosen], *_around(ink, top, left))
        noisy = pixels + self._random.normal(0, 6, pixels.shape)
        # Boxes that are there come first.
        return (
            noisy.round().clip(0, 255).astype(np.uint8)[None],
            mask,
            boxes[np.argsort(boxes[:, 0] == NO_BOX, kind="stable")],
        )

    def _background(self) -> NDArray[np.float64]:
        """Dark clouds: a few levels of grey, enlarged smoothly. [size, size] of 0 to 110."""
        coarse = torch.from_numpy(self._random.uniform(0, 110, (1, 1, 4, 4)))
        size = self._settings.size
        clouds = functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=True)
        found: NDArray[np.float64] = clouds[0, 0].numpy()
        return found

    def _place(self, mask: Labels, side: int) -> tuple[int, int] | None:
        """Top and left of a free square, if one is found."""
        for _ in range(TRIES):
            top, left = self._random.integers(0, self._settings.size - side + 1, 2)
            if not mask[top : top + side, left : left + side].any():
                return int(top), int(left)
        return None


def _around(ink: NDArray[np.bool_], top: int, left: int) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 around what is True, of a window that begins at `top` and `left`."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
