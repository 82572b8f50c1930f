"""One POST as it is sent again and again, and what an answer to it holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

JSON_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Path, headers and body of a POST; Host and Content-Length are whoever sends it's to add."""

    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def raw(self, host: str) -> bytes:
        """The request as bytes on a connection."""
        lines = {"Host": host, **self.headers, "Content-Length": str(len(self.body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body


def json_request(path: str, identity: str, name: str, datatype: str, values: NDArray[Any]) -> Request:
    """The Open Inference Protocol's JSON, float32 written with as few digits as tell it apart."""
    tensor = {"name": name, "shape": values.shape, "datatype": datatype, "data": values.ravel()}
    body = orjson.dumps({"id": identity, "inputs": [tensor]}, option=orjson.OPT_SERIALIZE_NUMPY)
    return Request(path=path, body=body, headers={"Content-Type": "application/json"})


def binary_request(path: str, identity: str, name: str, datatype: str, values: NDArray[Any]) -> Request:
    """The Open Inference Protocol's binary extension: a JSON head, and the tensor's bytes behind it."""
    parameters = {"binary_data_size": values.nbytes}
    tensor = {"name": name, "shape": values.shape, "datatype": datatype, "parameters": parameters}
    head = orjson.dumps({"id": identity, "inputs": [tensor]})
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(head))}
    return Request(path=path, body=head + values.tobytes(), headers=headers)


def output_of(answer: bytes) -> NDArray[np.float64]:
    """The only output of an answer in the protocol's JSON, in its shape. Raises ValueError for any other answer."""
    try:
        (output,) = orjson.loads(answer)["outputs"]
        return np.array(output["data"], dtype=np.float64).reshape(output["shape"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"the server answered {answer[:200]!r}") from error
