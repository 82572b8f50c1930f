"""An inference request's body: JSON, or JSON and the bytes of tensors behind it."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from service.datatypes import BYTES, encode_bytes, numbers
from service.messages import Tensor

HEADER_LENGTH = "Inference-Header-Content-Length"
NOT_IN_JSON = frozenset({"FP16", "BF16"})
"""Datatypes that the protocol has as bytes only."""


def json_entry(tensor: Tensor) -> dict[str, Any]:
    """An input with its values in JSON, flat."""
    return {**_described(tensor), "data": flat(tensor)}


def binary_entry(tensor: Tensor) -> dict[str, Any]:
    """An input whose values follow as bytes."""
    return {**_described(tensor), "parameters": {"binary_data_size": len(raw_of(tensor))}}


def flat(tensor: Tensor) -> list[Any]:
    """The values as JSON has them. BYTES must be UTF-8."""
    values = tensor.array.reshape(-1)
    return (
        [one.decode() for one in values]
        if tensor.datatype == BYTES
        else list(numbers(tensor.datatype, values).tolist())
    )


def nested(tensor: Tensor) -> list[Any]:
    """The same in a list for each axis; for a tensor without axes, flat."""
    if tensor.array.ndim == 0:
        return flat(tensor)
    if tensor.datatype == BYTES:
        return list(_text(tensor.array.tolist()))
    return list(numbers(tensor.datatype, tensor.array).tolist())


def raw_of(tensor: Tensor) -> bytes:
    """The values as the protocol has them in bytes."""
    return encode_bytes(tensor.array.reshape(-1)) if tensor.datatype == BYTES else tensor.array.tobytes()


def in_json(inputs: Sequence[Tensor], **more: Any) -> bytes:
    """A body whose inputs are all in JSON."""
    return json.dumps({**more, "inputs": [json_entry(one) for one in inputs]}).encode()


def in_binary(inputs: Sequence[Tensor], binary: Collection[str], **more: Any) -> tuple[bytes, dict[str, str]]:
    """A body in which the inputs named in `binary` are bytes, and the headers that it needs."""
    entries = [binary_entry(one) if one.name in binary else json_entry(one) for one in inputs]
    return joined({**more, "inputs": entries}, *(raw_of(one) for one in inputs if one.name in binary))


def joined(document: dict[str, Any], *raws: bytes) -> tuple[bytes, dict[str, str]]:
    """JSON with bytes behind it, and the headers that say where the JSON ends."""
    text = json.dumps(document).encode()
    return b"".join((text, *raws)), {HEADER_LENGTH: str(len(text))}


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.array.shape), "datatype": tensor.datatype}


def _text(data: Any) -> Any:
    return [_text(one) for one in data] if isinstance(data, list) else data.decode()
