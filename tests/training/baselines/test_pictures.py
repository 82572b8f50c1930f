"""What detectors and segmenting networks have to beat: things by their brightness, pixels by what is around them."""

import numpy as np
import pytest

from tests.training.baselines.parts import part
from training.baselines.baseline import Baseline
from training.baselines.components import Components
from training.baselines.majority_pixel import MajorityPixel
from training.baselines.pixel_discriminant import PixelDiscriminant
from training.bootstrap import Resampling
from training.data import scenes
from training.data.scenes import ScenesSettings
from training.errors import TrainingError
from training.metrics import detection, segmentation

FEW = Resampling(rounds=40)
SMALL = ScenesSettings(size=32, most=2, smallest=14, train=150, validation=2, test=60)
NOWHERE = [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_digits_are_found_by_their_brightness() -> None:
    """On real digits most boxes are found and named, of pictures that training didn't have."""
    dataset = scenes.load(SMALL, 7)
    model: Baseline = Components(dataset.train, classes=10)
    boxes = model.predict(dataset.test.inputs)
    assert np.float32 == boxes.dtype
    found = detection.measure(boxes, dataset.test.targets, dataset.test.sources, dataset.classes, FEW)
    assert found.at_50.mean.value > 0.6


def test_a_box_is_that_of_its_component() -> None:
    """To the pixel, on a background that rises; a picture without anything has no boxes."""
    pictures = np.tile(np.arange(24, dtype=np.uint8) * 3, (9, 1, 24, 1))
    boxes = np.zeros((9, 1, 5), np.float32)
    boxes[:, 0, 0] = -1
    for number in range(8):
        wide = number % 2
        height, width = (3, 8) if wide else (8, 3)
        pictures[number, 0, 5 : 5 + height, number : number + width] += 120
        boxes[number, 0] = (wide, number, 5, number + width, 5 + height)
    found = Components(part(pictures, boxes), classes=2).predict(pictures)
    for number in range(8):
        assert boxes[number, 0].tolist() == found[number, found[number, :, 1].argmax()][[0, 2, 3, 4, 5]].tolist()
    assert [NOWHERE] * found.shape[1] == found[8].tolist()


def test_pictures_without_things_teach_nothing() -> None:
    """Where nothing is brighter than its background there is no baseline, and the text says why."""
    empty = part(np.full((3, 1, 16, 16), 40, np.uint8), np.full((3, 1, 5), -1, np.float32))
    with pytest.raises(TrainingError, match="nothing in the training part is brighter"):
        Components(empty, classes=2)


def test_most_pixels_are_background() -> None:
    """Of every pixel is said what most of the training masks are."""
    masks = np.array([[[2, 2], [0, 2]], [[1, 0], [2, 1]]])
    model: Baseline = MajorityPixel(part(np.zeros((2, 1, 2, 2), np.uint8), masks))
    assert [[[2, 2, 2]] * 4] * 3 == model.predict(np.zeros((3, 1, 4, 3), np.uint8)).tolist()


def test_pixels_are_told_by_those_around_them() -> None:
    """A linear model of windows finds real digits' ink, and more than the majority does, though few of the digits."""
    dataset = scenes.load(ScenesSettings(**{**vars(SMALL), "targets": "masks"}), 7)
    models: tuple[Baseline, Baseline] = (MajorityPixel(dataset.train), PixelDiscriminant(dataset.train))
    test = dataset.test
    most, linear = (
        segmentation.measure(one.predict(test.inputs), test.targets, test.sources, dataset.classes, FEW)
        for one in models
    )
    assert linear.iou.mean.low > most.iou.mean.high
    assert linear.accuracy.low > most.accuracy.high


def test_masks_of_one_class_are_nothing_to_tell_apart() -> None:
    """All background is refused."""
    with pytest.raises(TrainingError, match="one class alone"):
        PixelDiscriminant(part(np.zeros((2, 1, 8, 8), np.uint8), np.zeros((2, 8, 8), np.int64)))
