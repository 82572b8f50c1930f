"""Handwritten digits: 1,797 real 8x8 scans with 17 levels of grey, the UCI test set that scikit-learn bundles.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional

from service.artifact.card import Grayscale, Invert, Resize, ToTensor, Transform
from training.data.material import Material
from training.data.split import Dataset, Images, Split, stratify
from training.data.transforms.jitter import Jitter

CLASSES = tuple("0123456789")


@dataclass(frozen=True, kw_only=True)
class DigitsSettings:
    """`size` is the side in pixels at which digits are shown; `validation` and `test` are shares of all scans.

    `jitter` bounds how a scan is seen: training draws anew in every epoch, the other parts are drawn once, each scan
    as often as `validation_views` and `test_views` say.
    """

    size: int = 16
    validation: float = 0.15
    test: float = 0.25
    validation_views: int = 1
    test_views: int = 1
    jitter: Jitter = field(default_factory=Jitter)

    def __post_init__(self) -> None:
        if not 8 <= self.size <= 64:
            raise ValueError("size: must be between 8 and 64 pixels")
        if min(self.validation, self.test) < 0.02 or self.validation + self.test > 0.9:
            raise ValueError("validation, test: must be at least 0.02, and leave a tenth of the scans to train on")
        if min(self.validation_views, self.test_views) < 1:
            raise ValueError("validation_views, test_views: must be at least 1")


def load(settings: DigitsSettings, seed: int) -> Dataset:
    """The digits, white on black, uint8 [N, 1, size, size], cut into three stratified parts by `seed`.

    Validation and test images are views through the jitter, each by its own draw; training images are as scanned.
    """
    digits = load_digits()
    images = enlarge(digits.images, settings.size)
    everything = Split(inputs=images, targets=digits.target.astype(np.int64), sources=np.arange(len(images)))
    test, validation, train = stratify(everything.targets, (settings.test, settings.validation), seed)
    return Dataset(
        train=everything.take(train),
        validation=_seen(everything.take(np.repeat(validation, settings.validation_views)), settings.jitter, seed + 1),
        test=_seen(everything.take(np.repeat(test, settings.test_views)), settings.jitter, seed + 2),
        classes=CLASSES,
    )


def material(settings: DigitsSettings, seed: int) -> Material:
    """The digits for a recipe, and how other pictures become inputs."""
    return Material(dataset=load(settings, seed), steps=transforms(settings))


def _seen(split: Split, jitter: Jitter, seed: int) -> Split:
    random = torch.Generator().manual_seed(seed)
    seen, _ = jitter(torch.from_numpy(split.inputs), torch.from_numpy(split.targets), random)
    return replace(split, inputs=seen.numpy())


def enlarge(images: np.ndarray[tuple[int, ...], np.dtype[np.float64]], size: int) -> Images:
    """Scans [N, 8, 8] of levels 0..16 as pixels uint8 [N, 1, size, size] of 0..255, enlarged bilinearly."""
    pixels = torch.from_numpy(images).float().unsqueeze(1) * (255.0 / 16.0)
    enlarged = functional.interpolate(pixels, size=(size, size), mode="bilinear", align_corners=False)
    return enlarged.round().clamp(0, 255).to(torch.uint8).numpy()


def transforms(settings: DigitsSettings) -> tuple[Transform, ...]:
    """What turns any picture of a digit into the network's input: light ink on dark, `size` pixels a side."""
    return (
        Grayscale(),
        Invert(when="light_background"),
        Resize(height=settings.size, width=settings.size, filter="area"),
        ToTensor(layout="CHW", datatype="UINT8"),
    )
