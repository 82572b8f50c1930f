"""From a picture's file to a tensor, by the steps on a model's card: the one implementation of them.

A file comes from anybody: its size in pixels is read from its head and bounded before anything is decoded.
"""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from service.artifact.card import Grayscale, Invert, Resize, ToTensor, Transform

FORMATS = ("PNG", "JPEG")
MAX_PIXELS = 50_000_000
"""More than the largest cameras make; as much memory as three bytes for each."""
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
}
_LIGHT = 127.5


class PictureError(Exception):
    """The file can't be made a tensor of; the text is one line, for who sent it."""


def picture_tensor(content: bytes, transforms: Sequence[Transform]) -> NDArray[Any]:
    """The tensor [C, H, W] or [H, W, C] that the steps make of a PNG or JPEG file; a copy. Raises PictureError.

    Transparency is laid on white; a photograph is turned as its camera says. Without a step to grey it has colours.
    """
    picture = _opened(content)
    if picture.mode != "RGB" and not any(isinstance(step, Grayscale) for step in transforms):
        picture = picture.convert("RGB")
    tensor: ToTensor | None = None
    for step in transforms:
        match step:
            case Grayscale():
                picture = picture.convert("L")
            case Invert():
                picture = _inverted(picture, step)
            case Resize():
                picture = picture.resize((step.width, step.height), _FILTERS[step.filter])
            case ToTensor():
                tensor = step
    if tensor is None:
        raise PictureError("the model's card doesn't say how a picture becomes its tensor")
    pixels = np.asarray(picture)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if tensor.layout == "CHW":
        pixels = pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(pixels, np.uint8 if tensor.datatype == "UINT8" else np.float32)


def _opened(content: bytes) -> Image.Image:
    """Decoded, as grey or RGB. Raises PictureError."""
    try:
        picture: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = picture.size
        if width * height > MAX_PIXELS:
            raise _too_large(f"{width} x {height}")
        picture = ImageOps.exif_transpose(picture)
        if picture.has_transparency_data:
            whole = picture.convert("RGBA")
            white = Image.new("RGBA", whole.size, "white")
            return Image.alpha_composite(white, whole).convert("RGB")
        if picture.mode in ("I", "I;16", "F"):  # 16 bits a pixel: the upper 8 of them
            return Image.fromarray((np.asarray(picture) // 257).clip(0, 255).astype(np.uint8))
        return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    except PictureError:
        raise
    except Image.DecompressionBombError as error:  # the library has a bound of its own, which is looked at first
        raise _too_large("too many") from error
    except Exception as error:  # the library raises anything at all for files that are broken on purpose
        raise PictureError("the content is no PNG or JPEG picture that can be decoded") from error


def _too_large(pixels: str) -> PictureError:
    return PictureError(f"the picture has {pixels} pixels, at most {MAX_PIXELS} are decoded")


def _inverted(picture: Image.Image, step: Invert) -> Image.Image:
    if step.when == "light_background":
        pixels = np.asarray(picture.convert("L"))
        border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
        if np.median(border) <= _LIGHT:
            return picture
    return ImageOps.invert(picture)
