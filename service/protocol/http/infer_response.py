"""From the engine's answer to the body of an inference response."""

from functools import lru_cache

import orjson

from service.datatypes import BYTES
from service.errors import TooLarge
from service.messages import InferResponse, Tensor
from service.protocol.binary import binary_data
from service.protocol.http.tensors import json_data, text_bytes
from service.protocol.http.wanted import ALL_JSON, Wanted
from service.quoting import quoted

_KEPT = 1024


def encode_infer(response: InferResponse, wanted: Wanted, max_json_bytes: int) -> tuple[int | None, bytes]:
    """The length of the JSON part, None when the whole body is JSON, and the body, which shares no memory with it.

    What surrounds the data is the same for every answer of a shape, so it is kept. Raises InvalidRequest naming an
    output that can't be written the way it is wanted, and TooLarge before anything of an output is written with which
    those in JSON would hold more than `max_json_bytes` of tensor data.
    """
    outputs = response.outputs
    if wanted is ALL_JSON and len(outputs) == 1 and not response.parameters:
        return None, _one_output(response, outputs[0], max_json_bytes)
    text = [_opening(response.model, response.version)]
    if response.id:
        text += (b',"id":', orjson.dumps(response.id))
    if response.parameters:
        text += (b',"parameters":', orjson.dumps(response.parameters))
    between = b',"outputs":['
    parts: list[bytes | memoryview] = []
    left = max_json_bytes
    for tensor in outputs:
        text += (between, _entry(tensor.name, tensor.datatype, tensor.array.shape))
        if wanted.targets and (target := wanted.targets.get(tensor.name)):
            target.write(tensor.name, binary_data(tensor))
            text[-1] = text[-1][:-1] + b"}"  # without parameters, as Triton: to its C++ client they mean binary data
        elif wanted is not ALL_JSON and wanted.is_binary(tensor.name):
            part = binary_data(tensor)
            text.append(b'"parameters":{"binary_data_size":%d}}' % memoryview(part).nbytes)
            parts.append(part)
        else:
            left -= _check_size(tensor, left, max_json_bytes)
            text += (b'"data":', json_data(tensor), b"}")
        between = b","
    text.append(b"]}")
    if not parts:
        return None, b"".join(text)
    return sum(map(len, text)), b"".join([*text, *parts])


def _one_output(response: InferResponse, tensor: Tensor, max_json_bytes: int) -> bytes:
    """The commonest answer: the only output, as JSON."""
    if tensor.datatype == BYTES or tensor.array.nbytes > max_json_bytes:
        _check_size(tensor, max_json_bytes, max_json_bytes)
    opening, entry = _frame(response.model, response.version, tensor.name, tensor.datatype, tensor.array.shape)
    if response.id:
        return b"".join((opening, b',"id":', orjson.dumps(response.id), entry, json_data(tensor), b"}]}"))
    return b"".join((opening, entry, json_data(tensor), b"}]}"))


@lru_cache(_KEPT)
def _frame(model: str, version: str, name: str, datatype: str, shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    return _opening(model, version), b',"outputs":[%b"data":' % _entry(name, datatype, shape)


@lru_cache(_KEPT)
def _opening(model: str, version: str) -> bytes:
    return orjson.dumps({"model_name": model, "model_version": version})[:-1]


@lru_cache(_KEPT)
def _entry(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    return orjson.dumps({"name": name, "datatype": datatype, "shape": shape})[:-1] + b","


def _check_size(tensor: Tensor, left: int, limit: int) -> int:
    """Bytes of its data; raises TooLarge if so many aren't left."""
    size: int = tensor.array.nbytes if tensor.datatype != BYTES else text_bytes(tensor)
    if size > left:
        raise TooLarge(
            f"output {quoted(tensor.name)} has {size} bytes, the outputs in JSON may have {limit} together: "
            "ask for it as binary data"
        )
    return size
