"""What is found before anything is trained."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.errors import SettingsError
from training.data.checks import Severity, check, refuse_errors
from training.data.split import Dataset, Split

CLASSES = ("a", "b")


def part(first: int, **changed: Any) -> Split:
    """Ten rows of two features, of two classes in turn."""
    inputs = np.stack([np.arange(first, first + 10), np.arange(10) % 7], axis=1).astype(np.float32)
    found = Split(inputs=inputs, targets=np.arange(10) % 2, sources=np.arange(first, first + 10))
    return replace(found, **changed)


def dataset(**changed: Any) -> Dataset:
    return replace(Dataset(train=part(0), validation=part(100), test=part(200), classes=CLASSES), **changed)


def texts(found: Dataset, severity: Severity, features: tuple[str, ...] = ()) -> list[str]:
    return [one.text for one in check(found, features) if one.severity is severity]


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    """Sound data is passed in silence, and isn't refused."""
    assert () == check(dataset())
    refuse_errors(check(dataset()))


def test_errors_stop_and_warnings_do_not() -> None:
    """All errors are in one text, warnings aren't."""
    constant = part(0, inputs=np.zeros((10, 2), np.float32))
    refuse_errors(check(dataset(train=constant)))
    broken = dataset(
        train=constant, validation=part(100, targets=np.full(10, 5)), test=part(200, targets=np.full(10, 9))
    )
    with pytest.raises(SettingsError, match=r"the data can't be trained on: validation: .* test: ") as caught:
        refuse_errors(check(broken))
    assert "always the same" not in str(caught.value)
    assert [Severity.ERROR, Severity.ERROR] == [one.severity for one in check(broken)[:2]]


def test_empty_parts_are_named() -> None:
    """And nothing else is looked at then."""
    assert ["test: the part is empty"] == texts(dataset(test=part(200).take(np.array([], np.int64))), Severity.ERROR)


def test_missing_values_are_named_by_row_and_column() -> None:
    """NaN and infinity, of inputs and of targets; the column by its name, if it has one."""
    inputs = part(200).inputs.copy()
    inputs[[3, 5], 1] = np.nan, np.inf
    (found,) = texts(dataset(test=part(200, inputs=inputs)), Severity.ERROR, ("age", "price"))
    assert "test: 2 input values are missing or infinite, the first in row 4, column 2 (`price`) (nan)" == found
    targets = np.full((10, 1), np.inf, np.float32)
    (found,) = texts(dataset(train=part(0, targets=targets), classes=()), Severity.ERROR)
    assert "train: 10 target values are missing or infinite, the first in row 1, column 1 (inf)" == found


@pytest.mark.parametrize(
    "targets, told",
    [
        (np.array([0, 1, 2, 0, 1, -1, 0, 0, 1, 1]), "train: 2 labels are outside 0 to 1, the first in row 3 (2)"),
        (np.array([[0, -100], [1, 3]] * 5), "train: 5 labels are outside 0 to 1, the first in row 2 (3)"),
        (np.tile([[[0, 1], [-100, 1]]], (10, 1, 1)), "train: 10 labels are outside 0 to 1, the first in row 1 (-100)"),
        (
            np.tile([[[2, 0, 0, 4, 4], [-1, 0, 0, 0, 0]]], (10, 1, 1)).astype(np.float32),
            "train: 10 labels are outside 0 to 1, the first in row 1 (2)",
        ),
        (
            np.tile([[[1, 4, 0, 4, 4], [-1, 0, 0, 0, 0]]], (10, 1, 1)).astype(np.float32),
            "train: boxes need x0 < x1 and y0 < y1; 10 rows have others, the first is 1",
        ),
    ],
)
def test_labels_outside_the_range_are_named(targets: np.ndarray[Any, Any], told: str) -> None:
    """Of labels, tags, masks and boxes, each with what stands for none."""
    assert [told] == texts(dataset(train=part(0, targets=targets)), Severity.ERROR)


def test_what_is_in_two_parts_is_found() -> None:
    """By its source, whatever it looks like; what looks the same and isn't known to be is only told."""
    (found,) = check(dataset(test=part(200, sources=np.arange(118, 108, -1))))
    assert "test: 1 inputs are in validation too, the first is row 10: leave each in one part" == found.text
    assert Severity.ERROR is found.severity
    inputs = np.concatenate([part(200).inputs[:8], part(0).inputs[:2]])
    (found,) = check(dataset(test=part(200, inputs=inputs)))
    assert "test: 2 inputs look the same as others in train, the first is row 9" == found.text
    assert Severity.WARNING is found.severity


def test_repetitions_and_contradictions_are_told() -> None:
    """What is there twice counts twice, and what is there as two things can't be learnt."""
    inputs = part(0).inputs.copy()
    inputs[1] = inputs[2] = inputs[0]
    assert [
        "train: 2 of 10 inputs repeat another",
        "train: 1 inputs are there with different targets",
    ] == texts(dataset(train=part(0, inputs=inputs)), Severity.WARNING)


def test_rare_and_missing_classes_are_told() -> None:
    """A class that nothing is trained on, and one that is ten times as frequent as another."""
    nothing = dataset(train=part(0, targets=np.zeros(10, np.int64)))
    assert ["train: has nothing of b"] == texts(nothing, Severity.WARNING)
    assert () == check(nothing, every_class=False)
    targets = np.zeros((10, 2), np.int64)
    targets[4, 1] = 1
    (found,) = texts(dataset(train=part(0, targets=targets)), Severity.WARNING)
    assert found.startswith("train: a is there 19 times, b 1 times: weigh classes")


def test_values_that_may_be_classes_are_told() -> None:
    """A few whole numbers, each of them often; not many, nor halves, nor a constant, nor boxes."""
    few = np.array([[0, 3], [1, 5]] * 5, np.float32)
    (found,) = texts(dataset(train=part(0, targets=few), classes=()), Severity.WARNING)
    assert found.startswith("train: value 1 is one of the whole numbers 0, 1; if they stand for classes, make them lab")
    for other in (np.arange(10), few[:, 0] / 2, np.ones(10)):
        targets = other.astype(np.float32)[:, None]
        assert () == check(dataset(train=part(0, targets=targets), classes=()))
    boxes = np.tile(np.array([0, 1, 1, 3, 3], np.float32), (10, 1, 1))
    assert () == check(dataset(train=part(0, targets=boxes)), every_class=False)


def test_constant_columns_are_told() -> None:
    """By number and name, in windows too; pixels at the border may always be the same."""
    inputs = part(0).inputs.copy()
    inputs[:, 1] = 3
    (found,) = texts(dataset(train=part(0, inputs=inputs)), Severity.WARNING, ("age", "price"))
    assert "train: always the same: column 2 (`price`)" == found
    windows = part(0, inputs=np.stack([inputs, inputs], axis=1))
    assert ["train: always the same: column 2"] == texts(dataset(train=windows), Severity.WARNING)


def test_boxes_beyond_their_picture_are_told() -> None:
    """By the first row that has one; a box that ends with the picture is within it."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 1, 8, 12), np.uint8)
    boxes = np.tile(np.array([0, 0, 0, 12, 8], np.float32), (10, 1, 1))
    whole = part(0, inputs=pixels, targets=boxes)
    assert not [one for one in check(dataset(train=whole), every_class=False) if "beyond" in one.text]
    boxes = boxes.copy()
    boxes[4, 0, 3] = 12.5
    (found,) = [
        one
        for one in check(dataset(train=part(0, inputs=pixels, targets=boxes)), every_class=False)
        if "beyond" in one.text
    ]
    assert (Severity.WARNING, True) == (
        found.severity,
        "1 rows go beyond 12 x 8 pixels, first in row 5" in found.text,
    )
