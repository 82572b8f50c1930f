"""Digits that the demo's network has never seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data import digits
from training.recipe import load_recipe

SHOWN = 4


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Images uint8 [4, 1, side, side] and their labels int64 [4]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def held_out_digits(profile: str) -> HeldOut:
    """Random images of the test part, which served neither to train nor to calibrate nor to choose an epoch; of the
    size that the profile has.
    """
    recipe = load_recipe("digits", profile)
    test = digits.load(recipe.data, recipe.seed).test
    chosen = np.random.default_rng().choice(len(test), SHOWN, replace=False)
    return HeldOut(images=test.inputs[chosen], labels=test.targets[chosen])
