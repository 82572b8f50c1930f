"""Classes that are never learnt."""

import numpy as np
import pytest

from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_sound, parts
from training.data import retrieval
from training.data.retrieval import RetrievalSettings


def test_new_digits_are_only_tested_on() -> None:
    """The parts share neither a scan nor, from the test part to the others, a class."""
    dataset = retrieval.load(RetrievalSettings(new=(2, 5)), seed=7)
    assert {2, 5} == set(dataset.test.targets)
    assert set(range(10)) - {2, 5} == set(dataset.train.targets) == set(dataset.validation.targets)
    for part in parts(dataset):
        assert_array(part.inputs, np.uint8, (len(part), 1, 16, 16))
        assert np.int64 == part.targets.dtype
    assert_apart(dataset)
    assert_sound(dataset)


def test_the_seed_decides_the_parts() -> None:
    """And nothing else does."""
    assert_by_seed(lambda seed: retrieval.load(RetrievalSettings(), seed))


@pytest.mark.parametrize("new", [(1,), (1, 1), (3, 10), tuple(range(9))])
def test_some_digits_are_new_and_some_are_not(new: tuple[int, ...]) -> None:
    """Two at least on either side, or there is nothing to tell apart."""
    with pytest.raises(ValueError, match="new: must be between 2 and 8 different digits"):
        RetrievalSettings(new=new)
