"""Pictures as data addresses: what is drawn on them is where it is said to be."""

import base64
import io

import numpy as np
from PIL import Image

from training.pictures import of_boxes, of_image, of_mask


def opened(address: str) -> Image.Image:
    assert address.startswith("data:image/png;base64,")
    return Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))


def test_an_image_is_its_pixels() -> None:
    """Of one channel and of three."""
    grey = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    assert np.array_equal(grey[0], np.asarray(opened(of_image(grey))))
    colour = np.arange(36, dtype=np.uint8).reshape(3, 3, 4)
    assert np.array_equal(colour.transpose(1, 2, 0), np.asarray(opened(of_image(colour))))


def test_boxes_are_drawn_around_what_they_hold() -> None:
    """Four times as large, the line just within the box, each class in a colour of its own; outside nothing changes."""
    image = np.full((1, 16, 20), 50, np.uint8)
    boxes = np.array([[0, 2, 1, 8, 12], [1, 11.5, 3, 19, 15]], np.float32)
    drawn = np.asarray(opened(of_boxes(image, boxes, ("one", "two")))).astype(int)
    assert (64, 80, 3) == drawn.shape
    changed = (drawn != 50).any(axis=2)
    assert [4, 47] == np.flatnonzero(changed[:, :40].any(axis=1))[[0, -1]].tolist()
    assert [8, 31] == np.flatnonzero(changed[40]).tolist()[:2]
    assert [46, 75] == np.flatnonzero(changed[40]).tolist()[2:]
    assert drawn[40, 8].tolist() != drawn[40, 46].tolist()


def test_an_image_without_boxes_is_the_image() -> None:
    """Only larger."""
    image = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    drawn = np.asarray(opened(of_boxes(image, np.zeros((0, 5), np.float32), ())))
    assert np.array_equal(image[0].repeat(4, axis=0).repeat(4, axis=1), drawn[:, :, 0])


def test_a_mask_has_a_colour_a_class() -> None:
    """Its pixels are the classes, the first black, and no two colours alike."""
    mask = np.arange(12).reshape(3, 4)
    picture = opened(of_mask(mask))
    assert np.array_equal(mask, np.asarray(picture))
    colours = {tuple(colour) for row in np.asarray(picture.convert("RGB")).tolist() for colour in row}
    assert 12 == len(colours)
    assert (0, 0, 0) == picture.convert("RGB").getpixel((0, 0))
