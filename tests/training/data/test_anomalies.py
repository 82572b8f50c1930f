"""One class is normal."""

import numpy as np
import pytest

from tests.training.data.parts import assert_apart, assert_by_seed, assert_sound, parts
from training.data import anomalies, digits
from training.data.anomalies import AnomaliesSettings
from training.data.digits import DigitsSettings


def test_only_the_test_part_has_anomalies() -> None:
    """Training and validation hold scans of the normal digit, the test part all that digits are tested on."""
    dataset = anomalies.load(AnomaliesSettings(normal=3), seed=7)
    whole = digits.load(DigitsSettings(), seed=7)
    assert np.array_equal(whole.train.inputs[whole.train.targets == 3], dataset.train.inputs)
    assert 0 == dataset.train.targets.sum() == dataset.validation.targets.sum()
    assert np.array_equal(whole.test.inputs, dataset.test.inputs)
    assert np.array_equal(whole.test.targets != 3, dataset.test.targets == 1)
    assert {np.dtype(np.int64)} == {part.targets.dtype for part in parts(dataset)}
    assert_apart(dataset)
    assert_sound(dataset)


def test_the_seed_decides_the_parts() -> None:
    """And nothing else does."""
    assert_by_seed(lambda seed: anomalies.load(AnomaliesSettings(), seed))


def test_there_are_ten_digits() -> None:
    """What is normal must be one of them."""
    with pytest.raises(ValueError, match="normal: must be a digit"):
        AnomaliesSettings(normal=10)
