"""Inference over HTTP with every datatype as its raw bytes, so that nothing between test and wire converts them."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from service.datatypes import BYTES, NUMPY_DTYPES, decode_bytes, encode_bytes

Tensors = Mapping[str, tuple[str, NDArray[Any]]]


def infer(url: str, model: str, inputs: Tensors, *outputs: str, seconds: float = 30.0) -> httpx.Response:
    """The answer to a request with these inputs, by name: datatype and array. No `outputs` are all of them."""
    raw = [encode_bytes(array.flat) if kind == BYTES else array.tobytes() for kind, array in inputs.values()]
    head = {
        "inputs": [
            {
                "name": name,
                "datatype": kind,
                "shape": array.shape,
                "parameters": {"binary_data_size": len(data)},
            }
            for (name, (kind, array)), data in zip(inputs.items(), raw, strict=True)
        ],
        "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in outputs],
        "parameters": {"binary_data_output": True, "timeout": int(seconds * 1e6)},
    }
    if not outputs:
        del head["outputs"]
    text = json.dumps(head).encode()
    headers = {"Inference-Header-Content-Length": str(len(text))}
    return _client().post(f"{url}/v2/models/{model}/infer", content=b"".join([text, *raw]), headers=headers, timeout=60)


@functools.cache
def _client() -> httpx.Client:
    return httpx.Client()


def arrays(response: httpx.Response) -> dict[str, tuple[str, NDArray[Any]]]:
    """The outputs of a good answer, by name: datatype and array."""
    assert response.status_code == 200, response.text
    length = int(response.headers["Inference-Header-Content-Length"])
    body, found = response.content[length:], {}
    for output in json.loads(response.content[:length])["outputs"]:
        size, kind, shape = output["parameters"]["binary_data_size"], output["datatype"], output["shape"]
        raw, body = body[:size], body[size:]
        flat = decode_bytes(raw, int(np.prod(shape))) if kind == BYTES else np.frombuffer(raw, NUMPY_DTYPES[kind])
        found[output["name"]] = (kind, flat.reshape(shape))
    return found


def row(*values: float) -> Tensors:
    """The input of a plain model: a row of three for each value."""
    return {"x": ("FP32", np.repeat(np.array(values, np.float32)[:, None], 3, axis=1))}
