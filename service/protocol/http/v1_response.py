"""Answers in the words of the first protocol: `predictions` by rows, `outputs` by columns."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import orjson

from service.datatypes import BF16, BYTES, numbers
from service.errors import InvalidRequest, TooLarge
from service.messages import InferResponse, Tensor
from service.protocol.http.tensors import json_data, text_bytes
from service.quoting import quoted

_NOT_FINITE = (b"NaN", b"Infinity")


def encode_predict(response: InferResponse, instances: int | None, max_json_bytes: int) -> bytes:
    """The body for so many instances, or by columns for None. It shares no memory with the answer.

    Raises InvalidRequest where an output hasn't a row for each instance, TooLarge beyond `max_json_bytes` of tensors.
    """
    _check_size(response.outputs, max_json_bytes)
    texts = [_flat(tensor) for tensor in response.outputs]
    finite = not any(token in text for text in texts for token in _NOT_FINITE)
    load = orjson.loads if finite else json.loads
    values = {
        tensor.name: _nested(_elements(tensor, load(text)), tensor.array.shape)
        for tensor, text in zip(response.outputs, texts, strict=True)
    }
    document = {"outputs": _plain(values)} if instances is None else {"predictions": _rows(values, response, instances)}
    return orjson.dumps(document) if finite else json.dumps(document, separators=(",", ":")).encode()


def _rows(values: dict[str, Any], response: InferResponse, instances: int) -> list[Any]:
    for tensor in response.outputs:
        shape = tensor.array.shape
        if not shape or shape[0] != instances:
            raise InvalidRequest(
                f"output {quoted(tensor.name)} of shape {list(shape)} hasn't a row for each of {instances} instances:"
                ' ask by columns, with "inputs"'
            )
    if len(values) == 1:
        (rows,) = values.values()
        return list(rows)
    return [{name: column[row] for name, column in values.items()} for row in range(instances)]


def _plain(values: dict[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else values


def _flat(tensor: Tensor) -> bytes:
    """The elements as JSON; halves as the floats that they are, and of BYTES none: these needn't be text."""
    if tensor.datatype == BYTES:
        return b"[]"
    if tensor.datatype in {BF16, "FP16"}:
        tensor = Tensor(name=tensor.name, datatype="FP32", array=numbers(tensor.datatype, tensor.array))
    return json_data(tensor)


def _elements(tensor: Tensor, values: list[Any]) -> list[Any]:
    return [_text(element) for element in tensor.array.flat] if tensor.datatype == BYTES else values


def _text(element: bytes) -> str | dict[str, str]:
    try:
        return element.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(element).decode()}


def _nested(flat: list[Any], shape: Sequence[int]) -> Any:
    """The elements in lists as the shape says; of a scalar the element itself."""
    if not shape:
        return flat[0]
    rows, *rest = shape
    if not rest:
        return flat
    width = len(flat) // rows if rows else 0
    return [_nested(flat[row * width : (row + 1) * width], rest) for row in range(rows)]


def _check_size(outputs: Sequence[Tensor], limit: int) -> None:
    size = sum(text_bytes(tensor) if tensor.datatype == BYTES else tensor.array.nbytes for tensor in outputs)
    if size > limit:
        raise TooLarge(f"the outputs have {size} bytes, in JSON they may have {limit}: send fewer instances at once")
