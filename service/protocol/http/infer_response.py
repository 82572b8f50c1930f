"""From the engine's answer to the body of an inference response."""

from typing import Any

import orjson

from service.messages import InferResponse
from service.protocol.http.binary import binary_data
from service.protocol.http.tensors import bare_tokens, json_data
from service.protocol.http.wanted import ALL_JSON, Wanted


def encode_infer(response: InferResponse, wanted: Wanted) -> tuple[int | None, bytes]:
    """The length of the JSON part, None when the whole body is JSON, and the body, which shares no memory with it.

    Raises InvalidRequest naming an output that can't be written the way it is wanted.
    """
    outputs: list[dict[str, Any]] = []
    parts: list[bytes | memoryview] = []
    for tensor in response.outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.array.shape}
        if wanted is not ALL_JSON and wanted.is_binary(tensor.name):
            part = binary_data(tensor)
            entry["parameters"] = {"binary_data_size": memoryview(part).nbytes}
            parts.append(part)
        else:
            entry["data"] = json_data(tensor)
        outputs.append(entry)
    document: dict[str, Any] = {"model_name": response.model, "model_version": response.version}
    if response.id:
        document["id"] = response.id
    document["outputs"] = outputs
    text = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    if b"null" in text:
        text = _with_bare_tokens(document, text)
    if not parts:
        return None, text
    return len(text), b"".join([text, *parts])


def _with_bare_tokens(document: dict[str, Any], text: bytes) -> bytes:
    """The JSON writer has null for what isn't finite; the word may also just be part of a name."""
    changed = False
    for entry in document["outputs"]:
        if "data" in entry:
            data = bare_tokens(entry["data"])
            changed = changed or data is not entry["data"]
            entry["data"] = data
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY) if changed else text
