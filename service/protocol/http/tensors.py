"""Tensors as JSON: a flat or nested list of numbers, booleans or strings on the way in, a flat one on the way out."""

import struct
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.datatypes import BF16, BYTES
from service.errors import InvalidRequest
from service.messages import Tensor
from service.protocol.layout import Layout, TensorHead
from service.quoting import quoted

NO_JSON = frozenset({"FP16", BF16})
_NOT_NUMBERS = NO_JSON | {BYTES}
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
(_N,) = b"n"
_FLOATS = frozenset({"FP32", "FP64"})
_ELEMENT_TYPES: dict[str, tuple[frozenset[type], str]] = {
    "BOOL": (frozenset({bool}), "true or false"),
    BYTES: (frozenset({str}), "a string"),
    "FP32": (frozenset({int, float}), "a number"),
    "FP64": (frozenset({int, float}), "a number"),
}
_INTEGER = (frozenset({int}), "an integer")
_LENGTH_BYTES = 4


def numeric_array(entry: TensorHead, layout: Layout, data: list[int | float]) -> NDArray[Any]:
    """The array of a flat list that is known to hold numbers only. Raises InvalidRequest as `json_array` does.

    `struct` checks range and kind of every number while it packs, in half the time that numpy takes to convert.
    """
    if layout.pack is None:
        return json_array(entry, layout, data, 1)
    try:
        packed = layout.pack(*data)
    except (struct.error, OverflowError):
        raise _unpackable(entry, layout, data) from None
    return np.ndarray(entry.shape, layout.dtype, packed)


def json_array(entry: TensorHead, layout: Layout, data: object, max_depth: int) -> NDArray[Any]:
    """The array of an input's `data`, flat or nested in row-major order.

    Raises InvalidRequest when an element isn't what the datatype demands, or the elements aren't as many as the shape.
    """
    if entry.datatype in NO_JSON:
        raise InvalidRequest(
            f"input {quoted(entry.name)}: {entry.datatype} can't be written in JSON, send it as binary data"
        )
    if type(data) is not list:
        raise InvalidRequest(f"input {quoted(entry.name)}: data must be a list")
    flat = flatten(entry, data, max_depth)
    if len(flat) != layout.count:
        raise _miscounted(entry, layout, flat)
    _check_types(entry, flat)
    if layout.pack is not None:
        return numeric_array(entry, layout, flat)
    if entry.datatype == BYTES:
        flat = [element.encode() for element in flat]
    array = np.empty(layout.count, layout.dtype)
    array[:] = flat
    return array.reshape(entry.shape)


def json_data(tensor: Tensor) -> bytes:
    """An output's `data`, flat. Raises InvalidRequest for what JSON can't hold.

    What isn't finite is written as the protocol's bare tokens, where the JSON writer has null.
    """
    if tensor.datatype in _NOT_NUMBERS:
        return orjson.dumps(_texts(tensor))
    numbers = tensor.array.ravel()
    text = orjson.dumps(numbers, option=_NUMPY)
    return _with_bare_tokens(numbers, text) if _N in text and b"null" in text else text


def _texts(tensor: Tensor) -> list[str]:
    if tensor.datatype in NO_JSON:
        raise InvalidRequest(
            f"output {quoted(tensor.name)}: {tensor.datatype} can't be written in JSON, ask for it as binary data"
        )
    try:
        return [element.decode() for element in tensor.array.reshape(-1)]
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"output {quoted(tensor.name)}: its bytes aren't UTF-8 text, ask for it as binary data"
        ) from None


def text_bytes(tensor: Tensor) -> int:
    """Bytes that a BYTES tensor takes in wire form: empty elements count, since they take space in JSON as well."""
    return tensor.array.size * _LENGTH_BYTES + sum(map(len, tensor.array.flat))


def _with_bare_tokens(numbers: NDArray[Any], text: bytes) -> bytes:
    elements = text[1:-1].split(b",")
    for index in np.flatnonzero(~np.isfinite(numbers)):
        value = numbers[index]
        elements[index] = b"NaN" if np.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"
    return b"[" + b",".join(elements) + b"]"


def flatten(entry: TensorHead, data: list[Any], max_depth: int) -> list[Any]:
    """The elements in row-major order. Nesting must be regular and mean the same shape, apart from axes of one."""
    if not data or type(data[0]) is not list:
        return data
    dims = [len(data)]
    level = data
    while level and type(level[0]) is list:
        width = len(level[0])
        dims.append(width)
        if len(dims) > max_depth:
            raise InvalidRequest(f"input {quoted(entry.name)}: data is nested deeper than {max_depth}")
        if any(type(row) is not list or len(row) != width for row in level):
            raise InvalidRequest(f"input {quoted(entry.name)}: data is ragged, its lists at depth {len(dims)} differ")
        level = list(chain.from_iterable(level))
    if level and [dim for dim in dims if dim != 1] != [dim for dim in entry.shape if dim != 1]:
        raise InvalidRequest(f"input {quoted(entry.name)}: shape is {list(entry.shape)}, data is nested as {dims}")
    return level


def _miscounted(entry: TensorHead, layout: Layout, flat: list[Any]) -> InvalidRequest:
    return InvalidRequest(
        f"input {quoted(entry.name)}: shape {list(entry.shape)} needs {layout.count} elements, data has {len(flat)}"
    )


def _check_types(entry: TensorHead, flat: list[Any]) -> None:
    allowed, words = _ELEMENT_TYPES.get(entry.datatype, _INTEGER)
    if allowed.issuperset(map(type, flat)):
        return
    index = next(index for index, element in enumerate(flat) if type(element) not in allowed)
    raise _wrong_element(entry, index, flat[index], f"{entry.datatype} takes {words}")


def _unpackable(entry: TensorHead, layout: Layout, data: list[int | float]) -> InvalidRequest:
    """Why these numbers can't be packed: there are too many or too few, or the first that is at fault."""
    if len(data) != layout.count:
        return _miscounted(entry, layout, data)
    pack = Layout(entry.datatype, (1,)).pack
    for index, element in enumerate(data):
        if type(element) is float and entry.datatype not in _FLOATS:
            return _wrong_element(entry, index, element, f"{entry.datatype} takes an integer")
        try:
            assert pack is not None
            pack(element)
        except (struct.error, OverflowError):
            return _wrong_element(entry, index, element, f"out of range for {entry.datatype}")
    raise AssertionError("every element packs on its own")


def _wrong_element(entry: TensorHead, index: int, element: object, fault: str) -> InvalidRequest:
    return InvalidRequest(f"input {quoted(entry.name)}: element {index} is {_shown(element)}, {fault}")


def _shown(element: object) -> str:
    """An element as the client wrote it, shortened; a container only by its kind."""
    if isinstance(element, list | dict):
        return "a list" if isinstance(element, list) else "an object"
    if isinstance(element, int) and not isinstance(element, bool) and element.bit_length() > 256:
        return "a number of more than 70 digits"
    if element is None:
        return "null"
    return str(element).lower() if isinstance(element, bool) else quoted(element)
