"""Strategies for tensors and for the bodies that hold them."""

import json
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.datatypes import BYTES, DATATYPES, NUMPY_DTYPES, encode_bytes
from service.messages import InferRequest, Tensor
from service.protocol.http.wanted import Wanted

JSON_DATATYPES = tuple(name for name in DATATYPES if name not in {"FP16", "BF16"})
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def tensors(draw: st.DrawFn, datatypes: tuple[str, ...] = DATATYPES, name: str = "x") -> Tensor:
    """A tensor of any datatype and a small shape; NaN and infinities, empty axes and empty strings are among them."""
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(SHAPES)
    if datatype == BYTES:
        count = int(np.prod(shape))
        texts = st.text(max_size=5).map(str.encode) if datatypes is JSON_DATATYPES else st.binary(max_size=5)
        array: Any = np.empty(count, np.object_)
        array[:] = draw(st.lists(texts, min_size=count, max_size=count))
        return Tensor(name=name, datatype=datatype, array=array.reshape(shape))
    return Tensor(name=name, datatype=datatype, array=draw(arrays.arrays(NUMPY_DTYPES[datatype], shape)))


def small() -> Tensor:
    """One row of four numbers."""
    return Tensor(name="x", datatype="FP32", array=np.ones((1, 4), np.float32))


def entry(tensor: Tensor, **more: Any) -> dict[str, Any]:
    """A tensor's entry in `inputs`, without its data."""
    return {"name": tensor.name, "shape": list(tensor.array.shape), "datatype": tensor.datatype} | more


def json_body(*inputs: Tensor, nested: bool = False, **more: Any) -> bytes:
    """A request in JSON, as Python's json module writes it."""
    entries = []
    for tensor in inputs:
        array = tensor.array
        if tensor.datatype == BYTES:
            array = np.vectorize(bytes.decode, otypes=[np.object_])(array) if array.size else array
        entries.append(entry(tensor, data=array.tolist() if nested and array.ndim else array.ravel().tolist()))
    return json.dumps({"inputs": entries} | more).encode()


def raw_bytes(tensor: Tensor) -> bytes:
    """A tensor's elements as binary data."""
    return encode_bytes(tensor.array.ravel()) if tensor.datatype == BYTES else tensor.array.tobytes()


def binary_body(*inputs: Tensor, **more: Any) -> tuple[int, bytes]:
    """A request with binary data, and the length of its JSON part."""
    parts = [raw_bytes(tensor) for tensor in inputs]
    entries = [
        entry(tensor, parameters={"binary_data_size": len(part)}) for tensor, part in zip(inputs, parts, strict=True)
    ]
    text = json.dumps({"inputs": entries} | more).encode()
    return len(text), text + b"".join(parts)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal to the bit; not-a-numbers are equal whatever their bits."""
    if (one.name, one.datatype, one.array.shape) != (other.name, other.datatype, other.array.shape):
        return False
    if one.array.dtype.kind == "f":
        nan = np.isnan(one.array)
        equal = np.array_equal(nan, np.isnan(other.array))
        return equal and one.array[~nan].tobytes() == other.array[~nan].tobytes()
    return np.array_equal(one.array, other.array)


def check_request(request: InferRequest, wanted: Wanted) -> None:
    """What was accepted holds together."""
    assert request.timeout is None or request.timeout > 0
    assert len(set(wanted.names)) == len(wanted.names)
    for tensor in request.inputs:
        assert tensor.array.dtype == NUMPY_DTYPES[tensor.datatype]
        if tensor.datatype == "BYTES":
            assert all(type(element) is bytes for element in tensor.array.flat)
        if tensor.datatype == "BOOL":
            assert np.asarray(tensor.array).view(np.uint8).max(initial=0) <= 1
