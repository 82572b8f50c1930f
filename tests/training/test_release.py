"""What a release says of a variant: the golden samples show every class."""

import numpy as np

from training.data import digits
from training.data.digits import DigitsSettings
from training.data.split import Dataset, Split
from training.release import golden_positions


def split(labels: list[int], sources: list[int]) -> Split:
    images = np.zeros((len(labels), 1, 8, 8), dtype=np.uint8)
    return Split(inputs=images, targets=np.array(labels), sources=np.array(sources))


def test_golden_samples_are_one_of_each_class(dataset: Dataset) -> None:
    """Of ten classes the first eight are there, in order, each by the first of its images."""
    positions = golden_positions(dataset.test)
    assert list(range(8)) == dataset.test.targets[positions].tolist()
    assert [int(np.flatnonzero(dataset.test.targets == label)[0]) for label in range(8)] == positions.tolist()


def test_golden_samples_are_of_eight_scans_where_a_scan_has_many_views() -> None:
    """Views of one scan follow each other in the test images; no two of them are samples."""
    test = digits.load(DigitsSettings(test_views=8), seed=1).test
    positions = golden_positions(test)
    assert 8 == len(set(test.sources[positions].tolist()))
    assert list(range(8)) == test.targets[positions].tolist()


def test_few_classes_take_turns() -> None:
    """With fewer than eight classes each gives a second source, and so on, always by the first view."""
    test = split([1, 1, 0, 0, 1, 1, 1, 0], [7, 7, 3, 3, 5, 5, 9, 4])
    assert [2, 0, 7, 4, 6] == golden_positions(test).tolist()


def test_there_are_no_more_than_eight() -> None:
    """However many sources there are, eight images are samples."""
    test = split([0, 1, 2] * 5, list(range(15)))
    assert list(range(8)) == golden_positions(test).tolist()
