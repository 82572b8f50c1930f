"""Scenes of digits, their boxes and masks."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.data.parts import assert_apart, assert_array, assert_by_seed, assert_sound, parts
from training.data import scenes
from training.data.scenes import ScenesSettings
from training.data.split import Dataset, Sources, Split

SMALL = ScenesSettings(train=60, validation=20, test=20, size=40, most=4)


@pytest.fixture(scope="module")
def boxes() -> Dataset:
    return scenes.load(SMALL, seed=7)


@pytest.fixture(scope="module")
def masks() -> Dataset:
    return scenes.load(replace(SMALL, targets="masks"), seed=7)


def test_scenes_have_their_shapes(boxes: Dataset, masks: Dataset) -> None:
    """Pixels uint8, boxes float32 or masks int64, the same scenes for both."""
    for part, other in zip(parts(boxes), parts(masks), strict=True):
        assert_array(part.inputs, np.uint8, (len(part), 1, 40, 40))
        assert_array(part.targets, np.float32, (len(part), 4, 5))
        assert_array(other.targets, np.int64, (len(part), 40, 40))
        assert np.array_equal(part.inputs, other.inputs)
    assert [60, 20, 20] == [len(part) for part in parts(boxes)]
    assert (10, 11) == (len(boxes.classes), len(masks.classes))
    for dataset in (boxes, masks):
        assert_apart(dataset)
        assert_sound(dataset)


def test_boxes_are_those_of_the_masks(boxes: Dataset, masks: Dataset) -> None:
    """To the pixel: the boxes of a class hold all that the mask has of it, and each side of a box touches it."""
    for rows, mask in zip(boxes.test.targets, masks.test.targets, strict=True):
        covered = np.zeros_like(mask)
        present = rows[rows[:, 0] >= 0]
        assert len(present)
        assert (rows[: len(present), 0] >= 0).all()
        for label, left, top, right, bottom in present.astype(int):
            inside = mask[top:bottom, left:right] == label + 1
            assert inside[0].any()
            assert inside[-1].any()
            assert inside[:, 0].any()
            assert inside[:, -1].any()
            covered[top:bottom, left:right] |= inside
        assert np.array_equal(covered == 1, mask > 0)


def test_digits_are_seen(masks: Dataset) -> None:
    """What the mask has is brighter than what it hasn't, in every scene."""
    for pixels, mask in zip(masks.test.inputs[:, 0], masks.test.targets, strict=True):
        assert pixels[mask > 0].mean() > pixels[mask == 0].mean() + 40


def test_parts_are_made_of_different_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    """No scan is in scenes of two parts."""
    seen: list[set[bytes]] = []
    compose = scenes._Composer.compose

    def spy(composer: scenes._Composer, sources: Sources) -> Split:
        seen.append({scan.tobytes() for scan in composer._scans})
        return compose(composer, sources)

    monkeypatch.setattr(scenes._Composer, "compose", spy)
    scenes.load(SMALL, seed=7)
    train, validation, test = seen
    assert train
    assert not train & (validation | test)
    assert not validation & test


def test_the_seed_decides_the_scenes() -> None:
    """And nothing else does."""
    assert_by_seed(lambda seed: scenes.load(SMALL, seed))


@pytest.mark.parametrize("changed", [{"smallest": 4}, {"smallest": 30}, {"largest": 60}, {"most": 0}])
def test_settings_have_bounds(changed: dict[str, int]) -> None:
    """A digit is at least as large as its scan and not larger than the scene, and there is one at least."""
    with pytest.raises(ValueError, match="must be"):
        replace(SMALL, **changed)  # type: ignore[arg-type]
