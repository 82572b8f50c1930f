"""Pictures as tensors, by the steps on a card."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from service.artifact.card import Grayscale, Invert, Resize, ToTensor, Transform
from service.artifact.picturing import MAX_PIXELS, PictureError, picture_tensor

CHW = ToTensor(layout="CHW", datatype="UINT8")
RGB = np.random.default_rng(1).integers(0, 256, (6, 9, 3), np.uint8)


def file(pixels: NDArray[Any], form: str = "PNG", **options: Any) -> bytes:
    """The pixels as a file."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form, **options)
    return stream.getvalue()


def test_pixels_become_a_tensor() -> None:
    """In the layout and datatype that the card says, their values unchanged."""
    np.testing.assert_array_equal(RGB.transpose(2, 0, 1), picture_tensor(file(RGB), [CHW]))
    floats = picture_tensor(file(RGB), [ToTensor(layout="HWC", datatype="FP32")])
    assert np.float32 == floats.dtype
    np.testing.assert_array_equal(RGB, floats)


def test_steps_are_taken_in_order() -> None:
    """Grey, then inverted, then small: the mean of each block of pixels."""
    steps: list[Transform] = [Grayscale(), Invert(), Resize(height=2, width=3, filter="area"), CHW]
    made = picture_tensor(file(RGB), steps)
    grey = 255 - np.asarray(Image.fromarray(RGB).convert("L"), np.float64)
    means = grey.reshape(2, 3, 3, 3).mean(axis=(1, 3))

    assert (1, 2, 3) == made.shape
    np.testing.assert_allclose(means, made[0], atol=1)


@pytest.mark.parametrize("paper, ink", [(255, 0), (0, 255)])
def test_only_a_light_background_is_inverted(paper: int, ink: int) -> None:
    """Ink on paper becomes light on dark; what is so already stays."""
    page = np.full((8, 8), paper, np.uint8)
    page[3:5, 3:5] = ink
    made = picture_tensor(file(page), [Grayscale(), Invert(when="light_background"), CHW])

    assert (0, 255) == (made[0, 0, 0], made[0, 4, 4])


def test_kinds_of_files() -> None:
    """Transparency is white, sixteen bits are eight, palettes are colours, and a camera's turn is undone."""
    clear = np.zeros((4, 4, 4), np.uint8)
    assert (picture_tensor(file(clear), [Grayscale(), CHW]) == 255).all()
    deep = np.full((4, 4), 65535, np.uint16)
    assert (picture_tensor(file(deep), [Grayscale(), CHW]) == 255).all()
    stream = io.BytesIO()
    Image.fromarray(RGB).quantize(4).save(stream, "PNG")
    assert (3, 6, 9) == picture_tensor(stream.getvalue(), [CHW]).shape
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    assert (3, 9, 6) == picture_tensor(file(RGB, "JPEG", exif=exif), [CHW]).shape


def test_a_grey_picture_has_colours_too() -> None:
    """For a model that doesn't ask for grey, as whoever sends a grey photograph expects; also with sixteen bits."""
    for grey in (RGB[:, :, 0], RGB[:, :, 0].astype(np.uint16) * 257):
        made = picture_tensor(file(grey), [CHW])
        np.testing.assert_array_equal(np.stack([RGB[:, :, 0]] * 3), made)


def test_too_many_pixels_are_not_decoded() -> None:
    """A small file may hold a huge picture: it is refused by its head."""
    stream = io.BytesIO()
    Image.new("1", (8000, 8000)).save(stream, "PNG")
    small = stream.getvalue()
    vast = struct.pack(">4sII", b"IHDR", 60000, 60000) + small[24:29]
    for content in (small, small[:12] + vast + struct.pack(">I", zlib.crc32(vast)) + small[33:]):
        assert len(content) < 10**6
        with pytest.raises(PictureError, match=f"at most {MAX_PIXELS} are decoded"):
            picture_tensor(content, [CHW])


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", file(RGB)[:90], file(RGB, "GIF"), file(RGB, "JPEG")[:100], b"%!PS-Adobe-3.0"]
)
def test_what_is_no_picture(content: bytes) -> None:
    """It is refused, also in a format that nobody asked for."""
    with pytest.raises(PictureError, match="no PNG or JPEG picture"):
        picture_tensor(content, [CHW])


def test_a_card_without_a_tensor() -> None:
    """The steps don't lead anywhere."""
    with pytest.raises(PictureError, match="card doesn't say"):
        picture_tensor(file(RGB), [Grayscale()])


@settings(deadline=None)
@given(st.data())
def test_broken_files_do_no_harm(data: st.DataObject) -> None:
    """Whatever bytes are changed, it is a picture or it is none."""
    content = bytearray(data.draw(st.sampled_from([file(RGB), file(RGB, "JPEG")])))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        made = picture_tensor(bytes(content), [Resize(height=4, width=4, filter="bilinear"), CHW])
    except PictureError:
        return
    assert made.shape[1:] == (4, 4)
