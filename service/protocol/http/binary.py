"""Tensors as the binary tensor extension sends them: raw little-endian bytes, row by row, without padding."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.datatypes import BYTES, NUMPY_DTYPES, decode_bytes, encode_bytes
from service.errors import InvalidRequest
from service.messages import Tensor
from service.protocol.http.document import InputEntry
from service.protocol.quoting import quoted


def binary_array(entry: InputEntry, count: int, body: bytes, start: int, size: int) -> NDArray[Any]:
    """The array that lies in `body[start : start + size]`; a view of it, except for BYTES.

    Raises InvalidRequest when these aren't exactly `count` elements.
    """
    name, datatype, shape = entry.name, entry.datatype, entry.shape
    if start + size > len(body):
        raise InvalidRequest(
            f"input {quoted(name)}: binary_data_size is {size} bytes, the body has {len(body) - start} left"
        )
    if datatype == BYTES:
        try:
            return decode_bytes(memoryview(body)[start : start + size], count).reshape(shape)
        except ValueError as error:
            raise InvalidRequest(f"input {quoted(name)}: {error}") from None
    dtype = NUMPY_DTYPES[datatype]
    if size != count * dtype.itemsize:
        raise InvalidRequest(
            f"input {quoted(name)}: shape {list(shape)} of {datatype} needs {count * dtype.itemsize} bytes, "
            f"binary_data_size is {size}"
        )
    if datatype == "BOOL":
        _check_bools(name, body, start, size)
    return np.frombuffer(body, dtype, count, start).reshape(shape) if count else np.empty(shape, dtype)


def binary_data(tensor: Tensor) -> bytes | memoryview:
    """An output's bytes, or a view of them."""
    if tensor.datatype == BYTES:
        return encode_bytes(tensor.array.reshape(-1))
    return np.ascontiguousarray(tensor.array).data


def _check_bools(name: str, body: bytes, start: int, size: int) -> None:
    """A byte that is neither 0 nor 1 makes an array that contradicts itself in numpy and in the runtimes."""
    values = np.frombuffer(body, np.uint8, size, start)
    if size and values.max() > 1:
        index = int(np.argmax(values > 1))
        raise InvalidRequest(f"input {quoted(name)}: element {index} is the byte {values[index]}, BOOL takes 0 or 1")
