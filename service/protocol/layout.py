"""What a datatype and a shape amount to: how many elements, how many bytes, and how numbers are packed into them."""

import struct
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np

from service.datatypes import BYTES, NUMPY_DTYPES, item_bytes
from service.errors import InvalidRequest, TooLarge
from service.protocol.limits import Limits
from service.quoting import quoted

_LARGEST = 2**62  # bytes; numpy can't describe more, even where an axis of zero leaves nothing to hold
_MOST_PACKED = 2**28  # elements; no JSON body within any sensible limit holds as many numbers
_KEPT = 256
_FORMATS = {
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP32": "f",
    "FP64": "d",
}


class TensorHead(msgspec.Struct):
    """What a client says of a tensor beside its data; anything until `Layouts.find` has checked it."""

    name: str
    shape: tuple[int, ...]
    datatype: str


class Layout:
    """`pack` turns exactly `count` numbers into bytes, and refuses what is out of range or a fraction in an integer.

    It is None where numbers in JSON aren't what the datatype is made of. `nbytes` is 0 for BYTES.
    """

    __slots__ = ("count", "dtype", "nbytes", "pack")

    def __init__(self, datatype: str, shape: tuple[int, ...]) -> None:
        self.count = prod(shape)
        self.dtype: np.dtype[Any] = NUMPY_DTYPES[datatype]
        self.nbytes = self.count * item_bytes(datatype)
        self.pack: Callable[..., bytes] | None = None
        code = _FORMATS.get(datatype)
        if code and self.count < _MOST_PACKED:
            self.pack = struct.Struct(f"<{self.count}{code}").pack


def check_inputs(heads: Sequence[TensorHead], limits: Limits) -> None:
    """Raises InvalidRequest when there are too many, or two of a name, and TooLarge for too many elements of BYTES."""
    if len(heads) > limits.max_tensors:
        raise InvalidRequest(f"{len(heads)} inputs, at most {limits.max_tensors} are allowed")
    elements = 0
    for head in heads:
        if head.datatype == BYTES and len(head.shape) <= limits.max_rank:
            elements += prod([max(dim, 0) for dim in head.shape])
            check_elements(head, elements, limits)
    if len(heads) > 1:
        name = _twin([head.name for head in heads])
        if name is not None:
            raise InvalidRequest(f"input {quoted(name)} is given twice")


def check_elements(head: TensorHead, elements: int, limits: Limits) -> None:
    """Raises TooLarge, which names an input, for a request that has so many elements of BYTES up to it."""
    if elements > limits.max_bytes_elements:
        raise TooLarge(
            f"input {quoted(head.name)}: {quoted(elements)} elements of BYTES in the request, at most"
            f" {limits.max_bytes_elements} are taken: send them in several"
        )


def check_outputs(names: Sequence[str], limits: Limits) -> None:
    """The same of the outputs that are asked for."""
    if len(names) > limits.max_tensors:
        raise InvalidRequest(f"{len(names)} outputs are asked for, at most {limits.max_tensors} are allowed")
    if len(names) > 1:
        name = _twin(names)
        if name is not None:
            raise InvalidRequest(f"output {quoted(name)} is asked for twice")


def _twin(names: Sequence[str]) -> str | None:
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


class Layouts:
    """Keeps the layouts that were checked: a client mostly sends the same shape again."""

    __slots__ = ("_kept", "_max_rank")

    def __init__(self, limits: Limits) -> None:
        self._max_rank = limits.max_rank
        self._kept: dict[tuple[str, tuple[int, ...]], Layout] = {}

    def find(self, entry: TensorHead) -> Layout:
        """The layout of an input. Raises InvalidRequest for an unknown datatype or an impossible shape."""
        key = (entry.datatype, entry.shape)
        layout = self._kept.get(key)
        if layout is None:
            self._check(entry)
            layout = Layout(*key)
            if len(self._kept) >= _KEPT:
                self._kept.clear()
            self._kept[key] = layout
        return layout

    def _check(self, entry: TensorHead) -> None:
        name, shape = quoted(entry.name), entry.shape
        if entry.datatype not in NUMPY_DTYPES:
            raise InvalidRequest(f"input {name}: unknown datatype {quoted(entry.datatype)}")
        if len(shape) > self._max_rank:
            raise InvalidRequest(
                f"input {name}: shape has {len(shape)} dimensions, at most {self._max_rank} are allowed"
            )
        if min(shape, default=0) < 0:
            raise InvalidRequest(f"input {name}: shape has the negative dimension {quoted(min(shape))}")
        if prod(max(dim, 1) for dim in shape) * 8 >= _LARGEST:
            raise InvalidRequest(f"input {name}: shape {quoted(list(shape))} is larger than any tensor can be")
