"""Pictures that stand in a page by themselves: data addresses, of pixels as they are and of what is drawn on them."""

import base64
import colorsys
import io
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from training.data.split import Array, Images, Labels

Colour: TypeAlias = tuple[int, int, int]
DRAWN = 4
"""How many times larger a picture is that is drawn on: lines then hide a quarter of a pixel."""
GOLDEN = 0.618034
"""Hues that lie this share of the circle apart stay apart, however many there are."""


def of_image(image: Images) -> str:
    """An image uint8 [C, H, W] as a PNG of just its pixels; of two channels the first is shown."""
    return _address(_seen(image))


def of_boxes(image: Images, boxes: Array, classes: Sequence[str]) -> str:
    """An image uint8 [C, H, W], enlarged, and `boxes` [M, 5] on it: class, x0, y0, x1, y1 in the image's pixels.

    Each has the colour of its class, and its name at its top. All of them are to be of a class.
    """
    seen = _seen(image).convert("RGB")
    enlarged = seen.resize((DRAWN * seen.width, DRAWN * seen.height), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(enlarged)
    for kind, *edges in boxes.tolist():
        left, top, right, bottom = (DRAWN * edge for edge in edges)
        pen.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=_colour(int(kind)))
        pen.text((left + 2, top), classes[int(kind)], fill=_colour(int(kind)))
    return _address(enlarged)


def of_mask(mask: Labels) -> str:
    """A mask [H, W] of classes, each in a colour of its own; class 0 is black."""
    picture = Image.fromarray(mask.astype(np.uint8))
    colours = [(0, 0, 0), *(_colour(kind) for kind in range(1, int(mask.max()) + 1))]
    picture.putpalette([part for colour in colours for part in colour])
    return _address(picture)


def of_shares(image: Array) -> str:
    """An image [C, H, W] of shares of 255, as networks make them."""
    return of_image(as_bytes(image))


def as_bytes(images: Array) -> Images:
    """Shares of 255 [...] as pixels uint8, the nearest ones."""
    pixels: Images = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return pixels


def _seen(image: Images) -> Image.Image:
    return Image.fromarray(image.transpose(1, 2, 0) if image.shape[0] == 3 else image[0])


def _colour(kind: int) -> Colour:
    red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(kind * GOLDEN % 1, 0.75, 1.0))
    return red, green, blue


def _address(picture: Image.Image) -> str:
    png = io.BytesIO()
    picture.save(png, format="png")
    return f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}"
