"""From the engine's answer to a ModelInferResponse in wire form."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeAlias

from tritonclient.grpc import service_pb2

from service.messages import InferResponse
from service.protocol.binary import binary_data
from service.protocol.client_memory import Target, place_parameters
from service.protocol.grpc.wire import Part, field

_ID, _RAW = 3, 6
_KEPT = 1024

_Spec: TypeAlias = tuple[str, str, tuple[int, ...]]
"""Name, datatype and shape."""


def encode_infer(response: InferResponse, targets: Mapping[str, Target]) -> bytes:
    """The message, which shares no memory with the answer: a head that is the same for every answer of a shape, so that
    it is kept, the id, and the raw contents. Outputs with a target are written there, and have none: an empty field
    stands for them, since clients count. Raises InvalidRequest for one that doesn't fit its target.
    """
    if targets or response.parameters:
        return _with_parameters(response, targets)
    outputs = response.outputs
    specs = tuple([(tensor.name, tensor.datatype, tensor.array.shape) for tensor in outputs])
    parts: list[Part] = [_head(response.model, response.version, specs)]
    if response.id:
        parts += field(_ID, response.id.encode())
    for tensor in outputs:
        parts += field(_RAW, binary_data(tensor))
    return b"".join(parts)


def _with_parameters(response: InferResponse, targets: Mapping[str, Target]) -> bytes:
    message = service_pb2.ModelInferResponse(model_name=response.model, model_version=response.version, id=response.id)
    for name, said in response.parameters.items():
        set_parameter(message.parameters[name], said)
    for tensor in response.outputs:
        output = message.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
        content, target = binary_data(tensor), targets.get(tensor.name)
        if target is None:
            message.raw_output_contents.append(bytes(content))
            continue
        for key, value in place_parameters(target.place, target.write(tensor.name, content)).items():
            set_parameter(output.parameters[key], value)
        message.raw_output_contents.append(b"")
    text: bytes = message.SerializeToString()
    return text


def set_parameter(parameter: Any, value: object) -> None:
    """Write a scalar into an InferParameter, as what it is."""
    field = {bool: "bool_param", int: "int64_param", float: "double_param"}.get(type(value), "string_param")
    setattr(parameter, field, value)


@lru_cache(_KEPT)
def _head(model: str, version: str, specs: tuple[_Spec, ...]) -> bytes:
    message = service_pb2.ModelInferResponse(
        model_name=model,
        model_version=version,
        outputs=[
            service_pb2.ModelInferResponse.InferOutputTensor(name=name, datatype=datatype, shape=shape)
            for name, datatype, shape in specs
        ],
    )
    text: bytes = message.SerializeToString()
    return text
