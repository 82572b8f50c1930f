"""Tensors as the gRPC protocol's messages."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2

from service.datatypes import BYTES, DATATYPES, NUMPY_DTYPES
from service.engine.remote.codec import decode, encode
from service.messages import InferRequest, Tensor
from tests.engine.remote.asking import same

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    """Any tensor of any datatype; some aren't contiguous."""
    datatype = draw(st.sampled_from(DATATYPES))
    shape = draw(SHAPES)
    array: NDArray[Any]
    if datatype == BYTES:
        array = np.empty(shape, np.object_)
        array[...] = np.array([draw(st.binary(max_size=8)) for _ in range(array.size)], np.object_).reshape(shape)
    else:
        array = draw(arrays.arrays(NUMPY_DTYPES[datatype], shape))
    return Tensor(name="x", datatype=datatype, array=array.T if draw(st.booleans()) else array)


@given(tensors())
def test_there_and_back(tensor: Tensor) -> None:
    """What a remote sends back as it came is what the client sent, bit by bit."""
    message = encode(InferRequest(model="m", version=None, inputs=(tensor,)), model="m", version="")
    sent = service_pb2.ModelInferRequest.FromString(message.SerializeToString())
    answer = service_pb2.ModelInferResponse(raw_output_contents=sent.raw_input_contents)
    answer.outputs.add(name="y", datatype=sent.inputs[0].datatype, shape=sent.inputs[0].shape)
    came = decode(answer)["y"]

    assert tensor.datatype == came.datatype
    assert same(np.ascontiguousarray(tensor.array).reshape(tensor.array.shape), came.array)


@given(st.sampled_from([*DATATYPES, "", "FP8"]), st.lists(st.integers(-2, 2**40), max_size=3), st.binary(max_size=64))
def test_hostile_answers(datatype: str, shape: list[int], raw: bytes) -> None:
    """Whatever shape an answer claims for its bytes, it is read as that or refused with a ValueError."""
    answer = service_pb2.ModelInferResponse(raw_output_contents=[raw])
    answer.outputs.add(name="y", datatype=datatype, shape=shape)
    try:
        array = decode(answer)["y"].array
    except ValueError:
        return

    assert tuple(shape) == array.shape
