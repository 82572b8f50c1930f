"""Inputs whose length varies: into which buckets they are padded, and which outputs are cut back.

In a config's parameters: `hone.length.<input>` = `axis=1 buckets=16,32,64 pad=0 mask=attention_mask` and
`hone.unpad.<output>` = `axis=1 like=<input>`. Axes count from 0, the batch axis included.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from service.artifact.pbtxt import nearest
from service.datatypes import BF16, BYTES, NUMPY_DTYPES
from service.errors import ArtifactError

LENGTH, UNPAD = "hone.length.", "hone.unpad."
_MOST_BUCKETS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Length:
    """The input called `input` is padded with `pad` along `axis` to the next of `buckets`, which rise.

    `mask` names the input that tells real positions (1) from padding (0); it may be left out of requests.
    """

    input: str
    axis: int
    buckets: tuple[int, ...]
    pad: float = 0.0
    mask: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpad:
    """The output called `output` is cut along `axis` to the length that the input `like` had."""

    output: str
    axis: int
    like: str


def read_lengths(values: Mapping[str, str], *, source: str) -> tuple[tuple[Length, ...], tuple[Unpad, ...]]:
    """What a config's parameters say of lengths. Raises ArtifactError naming the key and what it should hold."""
    lengths, unpads = [], []
    for key, text in values.items():
        place = f'{source}: parameters: "{key}"'
        if key.startswith(LENGTH):
            said = words(text, ("axis", "buckets", "pad", "mask"), ("axis", "buckets"), place)
            lengths.append(
                Length(
                    input=key.removeprefix(LENGTH),
                    axis=_axis(said["axis"], place),
                    buckets=_buckets(said["buckets"], place),
                    pad=_number(said.get("pad", "0"), place),
                    mask=said.get("mask", ""),
                )
            )
        elif key.startswith(UNPAD):
            said = words(text, ("axis", "like"), ("axis", "like"), place)
            unpads.append(Unpad(output=key.removeprefix(UNPAD), axis=_axis(said["axis"], place), like=said["like"]))
    return tuple(lengths), tuple(unpads)


def check_lengths(
    lengths: Sequence[Length],
    unpads: Sequence[Unpad],
    *,
    inputs: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
    datatypes: Mapping[str, str],
    batched: bool,
    source: str,
) -> None:
    """Raises ArtifactError where a parameter names a tensor or an axis that isn't there, or that doesn't vary, or pads
    with what the input can't hold.

    `inputs` and `outputs` are full shapes by name, -1 for what varies; `datatypes` are those of the inputs. With
    `batched` axis 0 is that of the batch.
    """
    named = [(f"{LENGTH}{one.input}", inputs, one.input, one.axis) for one in lengths]
    named += [(f"{LENGTH}{one.input}: mask", inputs, one.mask, one.axis) for one in lengths if one.mask]
    named += [(f"{UNPAD}{one.output}", outputs, one.output, one.axis) for one in unpads]
    for key, shapes, name, axis in named:
        if name not in shapes:
            raise ArtifactError(f'{source}: {key}: there is no tensor "{name}"{nearest(name, list(shapes))}')
        if axis >= len(shapes[name]) or shapes[name][axis] != -1:
            raise ArtifactError(f'{source}: {key}: axis {axis} of "{name}" doesn\'t vary')
        if batched and axis == 0:
            raise ArtifactError(f"{source}: {key}: axis 0 is that of the batch, whose rows are requests' own")
    for one in lengths:
        _check_values(one, datatypes, f"{source}: {LENGTH}{one.input}")
    padded = {one.input for one in lengths}
    for unpad in unpads:
        if unpad.like not in padded:
            raise ArtifactError(f'{source}: {UNPAD}{unpad.output}: "{unpad.like}" isn\'t padded')


def _check_values(length: Length, datatypes: Mapping[str, str], place: str) -> None:
    datatype = datatypes[length.input]
    if length.mask == length.input:
        raise ArtifactError(f"{place}: mask is the input itself, expected another input or none")
    if datatypes.get(length.mask) == BYTES:
        raise ArtifactError(f'{place}: mask "{length.mask}" holds texts, expected numbers')
    if datatype not in (BF16, BYTES) and not _holds(NUMPY_DTYPES[datatype], length.pad):
        raise ArtifactError(f"{place}: pad is {length.pad:g}, which {datatype} can't hold")


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether an element can have this value; a float may round it."""
    if dtype.kind == "f":
        return not isfinite(value) or abs(value) <= np.finfo(dtype).max
    limits = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return isfinite(value) and value == int(value) and limits[0] <= int(value) <= limits[1]


def words(text: str, known: tuple[str, ...], needed: tuple[str, ...], place: str) -> dict[str, str]:
    """The `word=value` pairs of a text."""
    said = dict(pair.partition("=")[::2] for pair in text.split())
    for word in said:
        if word not in known:
            raise ArtifactError(f'{place}: unknown word "{word}"{nearest(word, list(known))}')
    missing = [word for word in needed if not said.get(word)]
    if missing:
        raise ArtifactError(f"{place}: {missing[0]}=... is missing")
    return said


def _axis(text: str, place: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 3):
        raise ArtifactError(f"{place}: axis is {text!r}, expected a position from 0 on, the batch axis included")
    return int(text)


def _buckets(text: str, place: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and 0 < int(part) < 2**31 for part in parts):
        raise ArtifactError(f"{place}: buckets is {text!r}, expected lengths above 0 with commas between them")
    buckets = tuple(int(part) for part in parts)
    if list(buckets) != sorted(set(buckets)) or len(buckets) > _MOST_BUCKETS:
        raise ArtifactError(f"{place}: buckets must rise, and be at most {_MOST_BUCKETS}")
    return buckets


def _number(text: str, place: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArtifactError(f"{place}: pad is {text!r}, expected a number") from None
