"""Tensors of which a message holds every element by itself (`contents`), by the datatype's own field."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from service.datatypes import BYTES
from service.errors import InvalidRequest, TooLarge
from service.protocol.layout import Layout, TensorHead
from service.quoting import quoted

MOST = 1_000_000
"""Elements of a tensor: each is an object of Python for a moment, and the interpreter does nothing else meanwhile."""
_FIELDS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    BYTES: "bytes_contents",
}


def contents_array(head: TensorHead, layout: Layout, contents: service_pb2.InferTensorContents) -> NDArray[Any]:
    """The array of an input's contents. Raises InvalidRequest unless these are exactly the elements of the shape, in
    the field of the datatype.
    """
    name = _FIELDS.get(head.datatype)
    if name is None:
        raise InvalidRequest(f"input {quoted(head.name)}: {head.datatype} has no contents, send raw_input_contents")
    others = [field.name for field, _ in contents.ListFields() if field.name != name]
    if others:
        raise InvalidRequest(f"input {quoted(head.name)}: {head.datatype} belongs into {name}, not into {others[0]}")
    elements = getattr(contents, name)
    if len(elements) != layout.count:
        raise InvalidRequest(
            f"input {quoted(head.name)}: shape {list(head.shape)} needs {layout.count} elements, {name} has"
            f" {len(elements)}"
        )
    if len(elements) > MOST:
        raise TooLarge(
            f"input {quoted(head.name)} has {len(elements)} elements in {name}, at most {MOST}: send raw_input_contents"
        )
    if layout.pack is not None:
        try:
            return np.ndarray(head.shape, layout.dtype, layout.pack(*elements))
        except struct.error:
            raise InvalidRequest(
                f"input {quoted(head.name)}: an element of {name} is out of range for {head.datatype}"
            ) from None
    array = np.empty(layout.count, layout.dtype)
    array[:] = elements
    return array.reshape(head.shape)
