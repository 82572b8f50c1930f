"""Requests and answers as the gRPC protocol's messages: tensors are raw bytes, unchanged in both directions."""

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from service.datatypes import BYTES, NUMPY_DTYPES, decode_bytes, encode_bytes
from service.messages import InferRequest, Tensor

_OURS = ("binary_data_output", "priority", "timeout", "triton_enable_empty_final_response")
"""Parameters that concern the door, or that are said anew for the remote."""


def encode(request: InferRequest, *, model: str, version: str) -> service_pb2.ModelInferRequest:
    """The request for a model of the remote; its parameters, priority and id go along, its timeout doesn't."""
    message = service_pb2.ModelInferRequest(
        model_name=model,
        model_version=version,
        id=request.id,
        inputs=[
            service_pb2.ModelInferRequest.InferInputTensor(
                name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape
            )
            for tensor in request.inputs
        ],
        outputs=[service_pb2.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in request.outputs],
        raw_input_contents=[_raw(tensor) for tensor in request.inputs],
    )
    for key, value in request.parameters.items():
        if key not in _OURS:
            message.parameters[key].CopyFrom(_parameter(value))
    if request.priority:
        message.parameters["priority"].uint64_param = request.priority
    return message


def decode(message: service_pb2.ModelInferResponse) -> Mapping[str, Tensor]:
    """The outputs by name, as views of the message's bytes. Raises ValueError, naming the output that is malformed."""
    if len(message.raw_output_contents) != len(message.outputs):
        raise ValueError(f"{len(message.outputs)} outputs with the bytes of {len(message.raw_output_contents)}")
    return {
        output.name: _tensor(output, raw)
        for output, raw in zip(message.outputs, message.raw_output_contents, strict=True)
    }


def _raw(tensor: Tensor) -> bytes:
    return encode_bytes(tensor.array.flat) if tensor.datatype == BYTES else tensor.array.tobytes()


def _tensor(output: service_pb2.ModelInferResponse.InferOutputTensor, raw: bytes) -> Tensor:
    shape, dtype = tuple(output.shape), NUMPY_DTYPES.get(output.datatype)
    if dtype is None or any(dim < 0 for dim in shape):
        raise ValueError(f'output "{output.name}" is {output.datatype} of shape {list(shape)}')
    try:
        flat = decode_bytes(raw, prod(shape)) if output.datatype == BYTES else np.frombuffer(raw, dtype)
        return Tensor(name=output.name, datatype=output.datatype, array=flat.reshape(shape))
    except ValueError as error:
        raise ValueError(f'output "{output.name}" of shape {list(shape)} has {len(raw)} bytes') from error


def _parameter(value: Any) -> service_pb2.InferParameter:
    if isinstance(value, bool):
        return service_pb2.InferParameter(bool_param=value)
    if isinstance(value, str):
        return service_pb2.InferParameter(string_param=value)
    if isinstance(value, float):
        return service_pb2.InferParameter(double_param=value)
    if value >= 2**63:
        return service_pb2.InferParameter(uint64_param=value)
    return service_pb2.InferParameter(int64_param=value)
