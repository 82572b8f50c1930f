"""Digits of which some classes are never learnt: what is tested is whether the like of a new thing is found."""

from dataclasses import dataclass, field

import numpy as np

from training.data import digits
from training.data.digits import DigitsSettings
from training.data.material import Material
from training.data.split import Dataset, Split


@dataclass(frozen=True, kw_only=True)
class RetrievalSettings:
    """Which digits are `new`, only to be tested on; how digits are shown and cut."""

    new: tuple[int, ...] = (7, 8, 9)
    digits: DigitsSettings = field(default_factory=DigitsSettings)

    def __post_init__(self) -> None:
        if not set(self.new) <= set(range(10)) or not 2 <= len(set(self.new)) == len(self.new) <= 8:
            raise ValueError("new: must be between 2 and 8 different digits")


def load(settings: RetrievalSettings, seed: int) -> Dataset:
    """Pixels uint8 [N, 1, size, size] and labels int64 [N], the digit that it is.

    Training and validation have the known digits, the test part has the new ones; of each class it has as many scans as
    `digits.load` tests on. Labels are the same in all parts, so a classifier of ten would fit, but never see some.
    """
    whole = digits.load(settings.digits, seed)
    known = tuple(digit for digit in range(10) if digit not in settings.new)
    return Dataset(
        train=_of(whole.train, known),
        validation=_of(whole.validation, known),
        test=_of(whole.test, settings.new),
        classes=whole.classes,
    )


def material(settings: RetrievalSettings, seed: int) -> Material:
    """The digits for a recipe, and how other pictures become inputs."""
    return Material(dataset=load(settings, seed), steps=digits.transforms(settings.digits))


def _of(part: Split, chosen: tuple[int, ...]) -> Split:
    return part.take(np.flatnonzero(np.isin(part.targets, chosen)))
