"""The datatypes of the Open Inference Protocol, and what numpy calls them.

BF16 has no numpy type: its arrays hold the raw 16-bit patterns as uint16. BYTES arrays hold `bytes` objects; on any
wire an element is its length (4 bytes, little-endian) followed by its bytes, in row-major order.
"""

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BYTES = "BYTES"
BF16 = "BF16"

NUMPY_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    BF16: np.dtype(np.uint16),
    BYTES: np.dtype(np.object_),
}
"""Every datatype of the protocol, in a fixed order: a frame names a datatype by its position here."""

DATATYPES: tuple[str, ...] = tuple(NUMPY_DTYPES)

_LENGTH = struct.Struct("<I")


def numbers(datatype: str, array: NDArray[Any]) -> NDArray[Any]:
    """An array of numbers as numpy can compute with it: BF16 and FP16 as FP32, of which BF16 is the upper half."""
    if datatype == BF16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32) if datatype == "FP16" else array


def item_bytes(datatype: str) -> int:
    """Bytes an element takes on the wire; 0 for BYTES, whose elements differ in length."""
    return 0 if datatype == BYTES else NUMPY_DTYPES[datatype].itemsize


def one_element(element: bytes, rank: int) -> NDArray[np.object_]:
    """An array of a single element of BYTES, which has so many axes. `np.full` would lose the zeros at its end."""
    array = np.empty((1,) * rank, np.object_)
    array.fill(element)
    return array


def encode_bytes(elements: Iterable[bytes]) -> bytes:
    """BYTES elements in wire form: each a little-endian uint32 length followed by that many bytes."""
    parts: list[bytes] = []
    for element in elements:
        parts.append(_LENGTH.pack(len(element)))
        parts.append(element)
    return b"".join(parts)


def decode_bytes(raw: bytes | memoryview, count: int) -> NDArray[np.object_]:
    """Exactly `count` BYTES elements from their wire form, as an object array of shape [count].

    Raises ValueError when a length points past the end, or bytes are left over.
    """
    view = memoryview(raw)
    if count * _LENGTH.size > len(view):
        raise ValueError(f"{count} elements need at least {count * _LENGTH.size} bytes, got {len(view)}")
    elements = np.empty(count, dtype=np.object_)
    position = 0
    for index in range(count):
        if position + _LENGTH.size > len(view):
            raise ValueError(f"element {index} of {count} is cut off")
        (length,) = _LENGTH.unpack_from(view, position)
        position += _LENGTH.size
        if position + length > len(view):
            raise ValueError(f"element {index} says {length} bytes, {len(view) - position} are left")
        elements[index] = bytes(view[position : position + length])
        position += length
    if position != len(view):
        raise ValueError(f"{len(view) - position} bytes are left over after {count} elements")
    return elements
