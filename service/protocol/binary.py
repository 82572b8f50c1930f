"""Tensors as they travel in binary: raw little-endian bytes, row by row, without padding."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from service.datatypes import BYTES, decode_bytes, encode_bytes
from service.errors import InvalidRequest
from service.messages import Tensor
from service.protocol.layout import Layout, TensorHead
from service.quoting import quoted

Body: TypeAlias = bytes | bytearray | memoryview
"""The body of a request; only one that holds binary data may be other than bytes."""


def binary_array(entry: TensorHead, layout: Layout, body: Body, start: int, size: int) -> NDArray[Any]:
    """The array that lies in `body[start : start + size]`; a view of it, except for BYTES.

    Raises InvalidRequest when these aren't exactly the elements of the shape.
    """
    if start + size > len(body):
        raise InvalidRequest(
            f"input {quoted(entry.name)}: binary_data_size is {quoted(size)} bytes, the body has {len(body) - start}"
            " left"
        )
    if entry.datatype == BYTES:
        try:
            return decode_bytes(memoryview(body)[start : start + size], layout.count).reshape(entry.shape)
        except ValueError as error:
            raise InvalidRequest(f"input {quoted(entry.name)}: {error}") from None
    if size != layout.nbytes:
        raise InvalidRequest(
            f"input {quoted(entry.name)}: shape {list(entry.shape)} of {entry.datatype} needs {layout.nbytes} bytes, "
            f"got {size}"
        )
    if not size:
        return np.empty(entry.shape, layout.dtype)
    if entry.datatype == "BOOL":
        _check_bools(entry, body, start, size)
    return np.ndarray(entry.shape, layout.dtype, body, start)


def binary_data(tensor: Tensor) -> bytes | memoryview:
    """An output's bytes, or a view of them."""
    if tensor.datatype == BYTES:
        return encode_bytes(tensor.array.reshape(-1))
    return np.ascontiguousarray(tensor.array).data


def _check_bools(entry: TensorHead, body: Body, start: int, size: int) -> None:
    """A byte that is neither 0 nor 1 makes an array that contradicts itself in numpy and in the runtimes."""
    values = np.frombuffer(body, np.uint8, size, start)
    if values.max() > 1:
        index = int(np.argmax(values > 1))
        raise InvalidRequest(
            f"input {quoted(entry.name)}: element {index} is the byte {values[index]}, BOOL takes 0 or 1"
        )
