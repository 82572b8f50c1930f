"""Inputs for a model that is known by its metadata alone, or as a file gives them."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.client.conformance.output import leaves
from service.datatypes import BF16, BYTES, NUMPY_DTYPES
from service.messages import Tensor

MOST_ELEMENTS = 131_072
"""In all inputs together: such a request is at most 1 MiB."""
_ONE_IN_BF16 = 0x3F80


def parse_shapes(words: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """`NAME:DIMS` as perf_analyzer has it, DIMS with commas between. Raises ValueError."""
    shapes = {}
    for word in words:
        name, colon, dims = word.rpartition(":")
        parts = dims.split(",")
        if not (name and colon and all(part.isdecimal() for part in parts)):
            raise ValueError(f"{word}: expected NAME:DIMS, such as ids:1,16")
        shapes[name] = tuple(int(part) for part in parts)
    return shapes


def made_up(entries: Sequence[Mapping[str, Any]], shapes: Mapping[str, tuple[int, ...]]) -> tuple[Tensor, ...]:
    """Inputs that fit a model's metadata; -1 is 1 unless `shapes`, with or without the batch, says otherwise.

    Raises ValueError when there is no telling what the model takes.
    """
    unknown = shapes.keys() - {entry["name"] for entry in entries}
    if unknown:
        raise ValueError(f"--shape: the model has no input {', '.join(sorted(unknown))}")
    tensors = tuple(_made_up(entry, shapes.get(entry["name"])) for entry in entries)
    elements = sum(tensor.array.size for tensor in tensors)
    if elements > MOST_ELEMENTS:
        raise ValueError(f"its inputs have {elements} elements, more than {MOST_ELEMENTS}")
    return tensors


def values_of(datatype: str, count: int) -> NDArray[Any]:
    """So many elements that most models take: fractions for floats, ones for numbers that may be indices."""
    if datatype == BYTES:
        return np.array([b"1"] * count, dtype=np.object_)
    if datatype == BF16:
        return np.full(count, _ONE_IN_BF16, np.uint16)
    dtype = NUMPY_DTYPES[datatype]
    if dtype.kind == "f":
        return (np.arange(count) % 127 / 128).astype(dtype)  # each is exact in every floating datatype
    return np.ones(count, dtype) if datatype != "UINT8" else (np.arange(count) % 7).astype(dtype)


def drawn(tensors: Sequence[Tensor], seed: int) -> tuple[Tensor, ...]:
    """The same tensors with other values: any fraction for floats, any UINT8; equal seeds give equal ones.

    Other numbers stay: they may be indices, lengths or masks. So do texts.
    """
    random = np.random.default_rng(seed)
    return tuple(Tensor(name=one.name, datatype=one.datatype, array=_other(one, random)) for one in tensors)


def _other(tensor: Tensor, random: np.random.Generator) -> NDArray[Any]:
    array = tensor.array
    if tensor.datatype == "UINT8":
        return random.integers(0, 256, array.shape, np.uint8)
    fractions = random.random(array.shape).round(6)
    if tensor.datatype == BF16:
        return (fractions.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    return fractions.astype(array.dtype) if array.dtype.kind == "f" else array


def read_file(path: Path) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """Inputs and parameters of an inference request in JSON. Raises ValueError with what is wrong in it."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise ValueError(f"{path}: isn't JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise ValueError(f'{path}: expected an inference request, {{"inputs": [...]}}')  # noqa: TRY004 - the file is wrong
    parameters = document.get("parameters", {})
    return tuple(_given(entry, path) for entry in document["inputs"]), parameters


def _made_up(entry: Mapping[str, Any], given: tuple[int, ...] | None) -> Tensor:
    name, datatype = entry["name"], entry["datatype"]
    if datatype not in NUMPY_DTYPES:
        raise ValueError(f'input "{name}": "{datatype}" isn\'t a datatype of the protocol')
    declared = tuple(entry["shape"])
    shape = tuple(max(axis, 1) if axis < 0 else axis for axis in declared) if given is None else given
    if len(shape) == len(declared) - 1:
        shape = (1, *shape)
    if len(shape) != len(declared) or any(a not in {-1, b} for a, b in zip(declared, shape, strict=True)):
        raise ValueError(f"--shape {name}: the model takes {list(declared)}")
    if math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f'input "{name}" has {math.prod(shape)} elements, more than {MOST_ELEMENTS}')
    return Tensor(name=name, datatype=datatype, array=values_of(datatype, math.prod(shape)).reshape(shape))


def _given(entry: Any, path: Path) -> Tensor:
    try:
        name, datatype, shape = entry["name"], entry["datatype"], tuple(entry["shape"])
        values = list(leaves(entry["data"]))
        if datatype == BYTES:
            array: NDArray[Any] = np.array([value.encode() for value in values], dtype=np.object_)
        elif datatype == BF16:
            array = (np.array(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)
        else:
            array = np.array(values, NUMPY_DTYPES[datatype])
        return Tensor(name=name, datatype=datatype, array=array.reshape(shape))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: an input needs name, datatype, shape and data that fit each other ({error})"
        ) from None
