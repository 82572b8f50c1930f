"""Arrays from a file."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.errors import SettingsError
from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_sound, parts
from training.data import arrays
from training.data.arrays import ArraysSettings
from training.data.checks import Severity, check
from training.data.split import Dataset

RANDOM = np.random.default_rng(1)
FEATURES = RANDOM.normal(size=(30, 4))
PIXELS = RANDOM.integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)
LABELS = np.arange(30) % 3


def save(tmp_path: Path, **found: Any) -> ArraysSettings:
    path = tmp_path / "mine.npz"
    np.savez(path, **found)
    return ArraysSettings(path=str(path))


def load(tmp_path: Path, **found: Any) -> Dataset:
    return arrays.load(save(tmp_path, **found), seed=7)


@pytest.mark.parametrize(
    "inputs, dtype",
    [
        (PIXELS, np.uint8),
        (FEATURES, np.float32),
        (RANDOM.normal(size=(30, 5, 2)).astype(np.float16), np.float32),
        (RANDOM.integers(0, 50, (30, 6), dtype=np.int32), np.int64),
    ],
)
def test_inputs_keep_what_they_are(tmp_path: Path, inputs: np.ndarray[Any, Any], dtype: type[np.generic]) -> None:
    """Pixels, features, windows and ids, in the numbers that networks take."""
    dataset = load(tmp_path, inputs=inputs, targets=LABELS)
    assert ("0", "1", "2") == dataset.classes
    for part in parts(dataset):
        assert_array(part.inputs, dtype, (len(part), *inputs.shape[1:]))
        assert_array(part.targets, np.int64, (len(part),))
    assert_apart(dataset)
    assert_sound(dataset)


@pytest.mark.parametrize(
    "targets, dtype, shape, classes",
    [
        (RANDOM.normal(size=30), np.float32, (1,), 0),
        (RANDOM.normal(size=(30, 2)), np.float32, (2,), 0),
        (np.tile([[0, 4], [1, 2]], (15, 1)).astype(np.uint8), np.int64, (2,), 5),
        (np.tile([[[0, 1], [1, 2]]], (30, 1, 1)).astype(np.uint8), np.int64, (2, 2), 3),
        (np.tile([[[1.0, 0, 0, 4, 4], [-1, 0, 0, 0, 0]]], (30, 1, 1)), np.float32, (2, 5), 2),
    ],
)
def test_targets_keep_what_they_are(
    tmp_path: Path, targets: np.ndarray[Any, Any], dtype: type[np.generic], shape: tuple[int, ...], classes: int
) -> None:
    """Values, tags, masks and boxes; where there are classes, up to the largest."""
    dataset = load(tmp_path, inputs=PIXELS, targets=targets)
    assert classes == len(dataset.classes)
    for part in parts(dataset):
        assert_array(part.targets, dtype, (len(part), *shape))
    assert_sound(dataset)


def test_parts_and_names_are_taken_as_they_are(tmp_path: Path) -> None:
    """What is given as test part is tested on; names stand for numbers."""
    found = {
        f"{part}_{what}": array[start : start + 10]
        for part, start in (("train", 0), ("validation", 10), ("test", 20))
        for what, array in (("inputs", FEATURES), ("targets", LABELS))
    }
    dataset = load(tmp_path, **found, classes=["a", "b", "c"])
    assert ("a", "b", "c") == dataset.classes
    assert np.array_equal(FEATURES[20:].astype(np.float32), dataset.test.inputs)
    assert np.array_equal(LABELS[:10], dataset.train.targets)
    assert () == check(dataset)
    found["validation_inputs"] = FEATURES[10:20, :3]
    with pytest.raises(SettingsError, match=r"mine.npz: the parts' inputs differ"):
        load(tmp_path, **found)
    found["validation_inputs"], found["test_targets"] = FEATURES[10:20], FEATURES[20:]
    with pytest.raises(SettingsError, match=r"mine.npz: the parts' targets differ"):
        load(tmp_path, **found)
    del found["validation_inputs"]
    with pytest.raises(SettingsError, match=r"mine.npz: has no array `validation_inputs`; there are test_inputs"):
        load(tmp_path, **found)


def test_labels_without_a_name_are_found(tmp_path: Path) -> None:
    """A number that no class has is an error of the data, with its row."""
    errors = list(check(load(tmp_path, inputs=FEATURES, targets=LABELS, classes=["a", "b"])))
    assert "labels are outside 0 to 1" in errors[0].text
    negative = check(load(tmp_path, inputs=FEATURES, targets=LABELS - 1))
    assert Severity.ERROR is negative[0].severity


def test_numbers_that_are_too_large_are_found(tmp_path: Path) -> None:
    """In 32 bits they are infinite."""
    (found,) = check(load(tmp_path, inputs=np.where(FEATURES == FEATURES[4, 1], 1e300, FEATURES), targets=LABELS))
    assert Severity.ERROR is found.severity
    assert "1 input values are missing or infinite" in found.text


def test_boxes_of_no_class_are_found(tmp_path: Path) -> None:
    """What is no number is no class either."""
    boxes = np.tile([[1.0, 0, 0, 4, 4]], (30, 1, 1))
    boxes[3, 0, 0] = np.nan
    assert Severity.ERROR is check(load(tmp_path, inputs=PIXELS, targets=boxes))[0].severity


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    """A byte within the compressed numbers."""
    path = tmp_path / "packed.npz"
    np.savez_compressed(path, inputs=FEATURES, targets=LABELS)
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"packed.npz: isn't an NPZ file"):
        arrays.load(ArraysSettings(path=str(path)), seed=7)


def test_the_seed_decides_the_parts(tmp_path: Path) -> None:
    """And nothing else does."""
    settings = save(tmp_path, inputs=FEATURES, targets=LABELS)
    assert_by_seed(lambda seed: arrays.load(settings, seed))


@pytest.mark.parametrize(
    "found, told",
    [
        ({"inputs": FEATURES}, "has no array `targets`; there are inputs"),
        ({"inputs": FEATURES, "targets": LABELS[:9]}, "inputs has 30 rows, targets 9"),
        ({"inputs": FEATURES[:0], "targets": LABELS[:0]}, "`inputs` is empty"),
        ({"inputs": PIXELS[:, 0], "targets": LABELS}, r"`inputs` is uint8 \[30, 8, 8\]; inputs are pixels"),
        ({"inputs": np.array(["a"] * 30), "targets": LABELS}, "`inputs` is <U1"),
        ({"inputs": FEATURES, "targets": np.array(["a"] * 30)}, "`targets` is <U1"),
        ({"inputs": np.array(3), "targets": LABELS}, r"`inputs` is int64 \[\]"),
        (
            {"inputs": FEATURES, "targets": LABELS + 2**40},
            "targets go up to 1099511627778; number 10000 classes at most",
        ),
        ({"inputs": np.array([{}], dtype=object), "targets": LABELS}, "isn't an NPZ file of numbers and texts"),
    ],
)
def test_arrays_that_mean_nothing_are_refused(tmp_path: Path, found: dict[str, Any], told: str) -> None:
    """With the file, the array, and what it may be."""
    with pytest.raises(SettingsError, match=f"mine.npz: {told}"):
        load(tmp_path, **found)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x93NUMPY", b"anything"])
def test_broken_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever they hold, and also where there is none."""
    path = tmp_path / "broken.npz"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"broken.npz: isn't an NPZ file"):
        arrays.load(ArraysSettings(path=str(path)), seed=7)
    with pytest.raises(SettingsError, match=r"none.npz: can't be read"):
        arrays.load(ArraysSettings(path=str(tmp_path / "none.npz")), seed=7)


def test_a_lone_array_is_refused(tmp_path: Path) -> None:
    """It doesn't say what it is: inputs or targets."""
    with (tmp_path / "lone.npz").open("wb") as file:
        np.save(file, FEATURES)
    with pytest.raises(SettingsError, match=r"lone.npz: isn't an NPZ file"):
        arrays.load(ArraysSettings(path=str(tmp_path / "lone.npz")), seed=7)
