"""A request that is one raw tensor and no JSON at all: `Inference-Header-Content-Length: 0`."""

from math import prod
from typing import Any

from numpy.typing import NDArray

from service.datatypes import BYTES, item_bytes, one_element
from service.errors import InvalidRequest
from service.messages import InferRequest, Tensor
from service.metadata import TensorMetadata
from service.protocol.binary import Body, binary_array
from service.protocol.engine_port import Engine
from service.protocol.http.head import Head
from service.protocol.http.wanted import ALL_BINARY, Wanted
from service.protocol.layout import Layout, TensorHead
from service.quoting import quoted


def decode_raw(model: str, version: str | None, head: Head, body: Body, engine: Engine) -> tuple[InferRequest, Wanted]:
    """The whole body as the model's only input, in a batch of one; all outputs come back as binary data.

    Raises InvalidRequest when the model has more than one input or the size doesn't fit, and what `Engine.metadata`
    raises.
    """
    inputs = engine.metadata(model, version).inputs
    if len(inputs) != 1:
        raise InvalidRequest(f"a raw request needs a model with one input, {quoted(model)} has {len(inputs)}")
    (spec,) = inputs
    tensor = Tensor(name=spec.name, datatype=spec.datatype, array=_array(spec, body))
    return InferRequest(model=model, version=version, inputs=(tensor,), timeout=head.timeout), ALL_BINARY


def _array(spec: TensorMetadata, body: Body) -> NDArray[Any]:
    if spec.datatype == BYTES:
        if prod(abs(dim) for dim in spec.shape) != 1:
            raise InvalidRequest(f'input "{spec.name}": a raw request can hold one BYTES element only')
        return one_element(bytes(body), len(spec.shape))
    item = item_bytes(spec.datatype)
    shape = _resolved(spec, len(body) // item)
    if 0 in shape or prod(shape) * item != len(body):
        known = prod(dim for dim in spec.shape if dim != -1) * item
        wanted = f"a multiple of {known}" if -1 in spec.shape else f"{known}"
        raise InvalidRequest(
            f'the body has {len(body)} bytes, a raw request for input "{spec.name}" of shape {list(spec.shape)} and'
            f" datatype {spec.datatype} has {wanted}"
        )
    entry = TensorHead(name=spec.name, shape=shape, datatype=spec.datatype)
    return binary_array(entry, Layout(spec.datatype, shape), body, 0, len(body))


def _resolved(spec: TensorMetadata, elements: int) -> tuple[int, ...]:
    """The shape with its open axes filled: a leading one is the batch, of one if another axis is open too."""
    shape = list(spec.shape)
    if shape.count(-1) > 1 and shape[0] == -1:
        shape[0] = 1
    if shape.count(-1) > 1:
        raise InvalidRequest(f'input "{spec.name}" has more than one open axis: a raw request can\'t tell its shape')
    if -1 in shape:
        known = prod(dim for dim in shape if dim != -1)
        shape[shape.index(-1)] = elements // known if known else 0
    return tuple(shape)
