"""HTTP requests as bytes."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

INFER = "/v2/models/affine/infer"


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """A request without a body."""
    return _text(f"{method} {path} HTTP/1.1", "Host: test", *headers)


def post(path: str, body: bytes, *headers: str, version: str = "1.1") -> bytes:
    """A request with a body and its length."""
    return _text(f"POST {path} HTTP/{version}", "Host: test", f"Content-Length: {len(body)}", *headers) + body


def chunked(path: str, *pieces: bytes, headers: tuple[str, ...] = (), trailer: str = "") -> bytes:
    """A request whose body comes in chunks."""
    head = _text(f"POST {path} HTTP/1.1", "Host: test", "Transfer-Encoding: chunked", *headers)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return head + chunks + b"0\r\n" + trailer.encode() + b"\r\n"


def tensor(data: object = (1.0, 2.0), **changes: Any) -> dict[str, Any]:
    """An input entry: FP32 of shape [1, 2] unless changed; a change to None removes the key."""
    entry = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": data} | changes
    return {key: value for key, value in entry.items() if value is not None}


def document(*inputs: object, **more: Any) -> bytes:
    """The JSON of an inference request."""
    return json.dumps({"inputs": list(inputs) or [tensor()]} | more).encode()


def infer(*inputs: object, path: str = INFER, headers: tuple[str, ...] = (), **more: Any) -> bytes:
    """An inference request in JSON."""
    return post(path, document(*inputs, **more), *headers)


def binary(array: NDArray[Any], datatype: str, *headers: str, path: str = INFER, **more: Any) -> bytes:
    """An inference request with one binary input."""
    raw = array.tobytes()
    entry = tensor(None, shape=list(array.shape), datatype=datatype, parameters={"binary_data_size": len(raw)})
    text = document(entry, **more)
    return post(path, text + raw, f"Inference-Header-Content-Length: {len(text)}", *headers)


def as_float(*values: float) -> NDArray[np.float32]:
    """A row of FP32 numbers."""
    return np.array([values], dtype=np.float32)


def _text(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
