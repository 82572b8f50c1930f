"""Tensors as JSON: a flat or nested list of numbers, booleans or strings on the way in, a flat one on the way out."""

import struct
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.datatypes import BF16, BYTES, NUMPY_DTYPES
from service.errors import InvalidRequest
from service.messages import Tensor
from service.protocol.http.document import InputEntry
from service.protocol.quoting import quoted

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
_NO_JSON = frozenset({"FP16", BF16})
_FLOATS = frozenset({"FP32", "FP64"})
_ELEMENT_TYPES: dict[str, tuple[frozenset[type], str]] = {
    "BOOL": (frozenset({bool}), "true or false"),
    BYTES: (frozenset({str}), "a string"),
    "FP32": (frozenset({int, float}), "a number"),
    "FP64": (frozenset({int, float}), "a number"),
}
_INTEGER = (frozenset({int}), "an integer")


def numeric_array(entry: InputEntry, count: int, data: list[int | float]) -> NDArray[Any]:
    """The array of a flat list that is known to hold numbers only. Raises InvalidRequest as `json_array` does.

    `struct` checks range and kind of every number while it packs, in half the time that numpy takes to convert.
    """
    datatype = entry.datatype
    code = _FORMATS.get(datatype)
    if code is None or len(data) != count:
        return json_array(entry, count, data, 1)
    try:
        packed = struct.pack(f"<{count}{code}", *data)
    except (struct.error, OverflowError):
        raise _out_of_range(entry.name, datatype, data) from None
    return np.frombuffer(packed, NUMPY_DTYPES[datatype]).reshape(entry.shape)


def json_array(entry: InputEntry, count: int, data: object, max_depth: int) -> NDArray[Any]:
    """The array of an input's `data`, flat or nested in row-major order.

    Raises InvalidRequest when an element isn't what the datatype demands, or the elements aren't as many as `count`.
    """
    name, datatype, shape = entry.name, entry.datatype, entry.shape
    if datatype in _NO_JSON:
        raise InvalidRequest(f"input {quoted(name)}: {datatype} can't be written in JSON, send it as binary data")
    if type(data) is not list:
        raise InvalidRequest(f"input {quoted(name)}: data must be a list")
    flat = _flat(name, shape, data, max_depth)
    if len(flat) != count:
        raise InvalidRequest(f"input {quoted(name)}: shape {list(shape)} needs {count} elements, data has {len(flat)}")
    _check_types(name, datatype, flat)
    if datatype in _FORMATS:
        return numeric_array(entry, count, flat)
    if datatype == BYTES:
        strings = np.empty(count, dtype=np.object_)
        strings[:] = [element.encode() for element in flat]
        return strings.reshape(shape)
    return np.array(flat, dtype=np.bool_).reshape(shape)


def json_data(tensor: Tensor) -> list[str] | NDArray[Any]:
    """An output's `data`, flat, for orjson. Raises InvalidRequest for what JSON can't hold."""
    if tensor.datatype in _NO_JSON:
        raise InvalidRequest(
            f"output {quoted(tensor.name)}: {tensor.datatype} can't be written in JSON, ask for it as binary data"
        )
    if tensor.datatype != BYTES:
        return np.ascontiguousarray(tensor.array).reshape(-1)
    try:
        return [element.decode() for element in tensor.array.reshape(-1)]
    except UnicodeDecodeError:
        raise InvalidRequest(
            f"output {quoted(tensor.name)}: its bytes aren't UTF-8 text, ask for it as binary data"
        ) from None


def bare_tokens(data: list[str] | NDArray[Any]) -> list[str] | NDArray[Any] | orjson.Fragment:
    """The same data with NaN, Infinity and -Infinity as bare tokens, where orjson would write null."""
    if isinstance(data, list) or data.dtype.kind != "f":
        return data
    (strange,) = np.nonzero(~np.isfinite(data))
    if not strange.size:
        return data
    elements = orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    for index in strange:
        value = data[index]
        elements[index] = b"NaN" if np.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"
    return orjson.Fragment(b"[" + b",".join(elements) + b"]")


def _flat(name: str, shape: tuple[int, ...], data: list[Any], max_depth: int) -> list[Any]:
    """The elements in row-major order. Nesting must be regular and mean the same shape, apart from axes of one."""
    if not data or type(data[0]) is not list:
        return data
    dims = [len(data)]
    level = data
    while level and type(level[0]) is list:
        width = len(level[0])
        dims.append(width)
        if len(dims) > max_depth:
            raise InvalidRequest(f"input {quoted(name)}: data is nested deeper than {max_depth}")
        if any(type(row) is not list or len(row) != width for row in level):
            raise InvalidRequest(f"input {quoted(name)}: data is ragged, its lists at depth {len(dims)} differ")
        level = list(chain.from_iterable(level))
    if [dim for dim in dims if dim != 1] != [dim for dim in shape if dim != 1]:
        raise InvalidRequest(f"input {quoted(name)}: shape is {list(shape)}, data is nested as {dims}")
    return level


def _check_types(name: str, datatype: str, flat: list[Any]) -> None:
    allowed, words = _ELEMENT_TYPES.get(datatype, _INTEGER)
    if allowed.issuperset(map(type, flat)):
        return
    for index, element in enumerate(flat):
        if type(element) not in allowed:
            raise InvalidRequest(
                f"input {quoted(name)}: element {index} is {_shown(element)}, {datatype} takes {words}"
            )


def _out_of_range(name: str, datatype: str, data: list[int | float]) -> InvalidRequest:
    """Names the first number that can't be packed, and why."""
    packer = struct.Struct("<" + _FORMATS[datatype])
    for index, element in enumerate(data):
        if type(element) is float and datatype not in _FLOATS:
            return InvalidRequest(
                f"input {quoted(name)}: element {index} is {_shown(element)}, {datatype} takes an integer"
            )
        try:
            packer.pack(element)
        except (struct.error, OverflowError):
            return InvalidRequest(
                f"input {quoted(name)}: element {index} is {_shown(element)}, out of range for {datatype}"
            )
    raise AssertionError("every element packs on its own")


def _shown(element: object) -> str:
    """An element as the client wrote it, shortened; a container only by its kind."""
    if isinstance(element, list | dict):
        return "a list" if isinstance(element, list) else "an object"
    if isinstance(element, int) and not isinstance(element, bool) and element.bit_length() > 256:
        return "a number of more than 70 digits"
    if element is None:
        return "null"
    return str(element).lower() if isinstance(element, bool) else quoted(element)
