"""Digits of which one class is normal: only that is learnt from, and all others are to be found out."""

from dataclasses import dataclass, field, replace

import numpy as np

from training.data import digits
from training.data.digits import DigitsSettings
from training.data.material import Material
from training.data.split import Dataset, Split

CLASSES = ("normal", "anomaly")


@dataclass(frozen=True, kw_only=True)
class AnomaliesSettings:
    """The digit that is `normal`, and how digits are shown and cut."""

    normal: int = 0
    digits: DigitsSettings = field(default_factory=DigitsSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.normal <= 9:
            raise ValueError("normal: must be a digit, 0 to 9")


def load(settings: AnomaliesSettings, seed: int) -> Dataset:
    """Pixels uint8 [N, 1, size, size], and labels int64 [N]: 1 for an anomaly, which only the test part has.

    It has all digits that `digits.load` tests on, so about nine in ten are anomalies.
    """
    whole = digits.load(settings.digits, seed)
    train, validation, test = (
        replace(part, targets=(part.targets != settings.normal).astype(np.int64))
        for part in (whole.train, whole.validation, whole.test)
    )
    return Dataset(train=_normal(train), validation=_normal(validation), test=test, classes=CLASSES)


def material(settings: AnomaliesSettings, seed: int) -> Material:
    """The digits for a recipe, and how other pictures become inputs."""
    return Material(dataset=load(settings, seed), steps=digits.transforms(settings.digits))


def _normal(part: Split) -> Split:
    return part.take(np.flatnonzero(part.targets == 0))
