"""What every dataset is held to."""

from collections.abc import Callable

import numpy as np

from training.data.checks import Severity, check
from training.data.split import Array, Dataset, Split

PARTS = ("train", "validation", "test")


def parts(dataset: Dataset) -> tuple[Split, Split, Split]:
    return dataset.train, dataset.validation, dataset.test


def assert_array(array: Array, dtype: type[np.generic], shape: tuple[int, ...]) -> None:
    """Its datatype and shape."""
    assert array.dtype == dtype
    assert shape == array.shape


def assert_apart(dataset: Dataset) -> None:
    """No part is empty, and none has a source of another."""
    train, validation, test = (set(part.sources.tolist()) for part in parts(dataset))
    assert train
    assert validation
    assert test
    assert not train & validation
    assert not (train | validation) & test


def assert_sound(dataset: Dataset, features: tuple[str, ...] = ()) -> None:
    """The checks find no error, and nothing of one part in another, not even what only looks the same."""
    assert not [
        one for one in check(dataset, features) if one.severity is Severity.ERROR or "look the same" in one.text
    ]


def assert_same(one: Dataset, other: Dataset) -> None:
    """Byte for byte."""
    assert one.classes == other.classes
    for mine, yours in zip(parts(one), parts(other), strict=True):
        assert np.array_equal(mine.inputs, yours.inputs)
        assert np.array_equal(mine.targets, yours.targets)
        assert np.array_equal(mine.sources, yours.sources)


def assert_by_seed(load: Callable[[int], Dataset]) -> None:
    """The same seed gives the same data, another one other data."""
    first, again, another = load(7), load(7), load(8)
    assert_same(first, again)
    one, other = first.test, another.test
    assert one.inputs.shape != other.inputs.shape or not np.array_equal(one.inputs, other.inputs)
