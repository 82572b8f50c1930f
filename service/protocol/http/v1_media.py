"""The friendly door's other bodies: a picture, or a text, instead of tensors."""

from collections.abc import Mapping

import numpy as np
import orjson

from service.artifact.transforms import Medium
from service.datatypes import BYTES, one_element
from service.errors import InvalidRequest, Unsupported
from service.messages import InferResponse, Tensor
from service.metadata import ModelMetadata

PICTURES = (b"image/png", b"image/jpeg")
TEXT = b"text/plain"
TOP = 5
"""Classes of each output that are told."""
_WHOLE = 0.01
"""How far values that sum up to one may be from it to be called probabilities."""


def media_of(fields: Mapping[bytes, bytes]) -> bytes:
    """What the body is, in lower case and without parameters, where it is a picture or a text; else empty."""
    media = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return media if media.startswith(b"image/") or media == TEXT else b""


def medium_of(media: bytes) -> Medium:
    """What a card's transforms may begin with, of what `media_of` found."""
    return "text" if media == TEXT else "picture"


def takes_text(model: ModelMetadata) -> bool:
    """Whether a text is its only input as it is."""
    return len(model.inputs) == 1 and model.inputs[0].datatype == BYTES


def text_input(body: bytes, model: ModelMetadata) -> tuple[Tensor, ...]:
    """The whole body as the only element of the only input of a model that takes text. Raises InvalidRequest."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body isn't UTF-8 text: byte {error.start}") from None
    (only,) = model.inputs
    return (Tensor(name=only.name, datatype=BYTES, array=one_element(body, len(only.shape))),)


def wanted_classes(model: ModelMetadata) -> dict[str, int]:
    """All classes of each output of numbers that has a row of a fixed size. Raises Unsupported where none has."""
    wanted = {
        one.name: one.shape[-1]
        for one in model.outputs
        if one.datatype != BYTES and len(one.shape) in (1, 2) and one.shape[-1] > 0
    }
    if not wanted:
        raise Unsupported(f'model "{model.name}" has no output whose elements are classes')
    return wanted


def encode_classes(response: InferResponse) -> bytes:
    """The likeliest classes of a single row, by their index and their label: `probability` where all of them sum up to
    one, else `score`.
    """
    found = {tensor.name: _classes(tensor) for tensor in response.outputs}
    predictions = next(iter(found.values())) if len(found) == 1 else found
    return orjson.dumps({"predictions": predictions})


def _classes(tensor: Tensor) -> list[dict[str, str | int | float]]:
    parts = [element.decode().split(":", 2) for element in tensor.array.ravel()]
    values = np.array([float(part[0]) for part in parts])
    sums_up = bool((values >= 0).all()) and abs(values.sum() - 1) < _WHOLE
    name = "probability" if sums_up else "score"
    return [
        {"index": int(index), **({"label": label[0]} if label else {}), name: float(value)}
        for value, index, *label in parts[:TOP]
    ]
