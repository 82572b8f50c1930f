"""A small server of the protocol that is right, by the standard library alone, with places for faults."""

import gzip
import json
import math
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

MODEL = "pair"
EXTENSIONS = [
    "binary_tensor_data",
    "classification",
    "logging",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
    "system_shared_memory",
    "trace",
]
DTYPES: dict[str, str] = {"FP32": "<f4", "INT64": "<i8"}
LENGTH = "inference-header-content-length"
SETTINGS = {
    "log_file": "",
    "log_info": True,
    "log_warning": True,
    "log_error": True,
    "log_verbose_level": 0,
    "log_format": "default",
}
TRACE = {
    "trace_level": ["OFF"],
    "trace_rate": "1000",
    "log_frequency": "0",
    "trace_count": "-1",
    "trace_mode": "triton",
}
CONFIG: dict[str, Any] = {
    "name": MODEL,
    "max_batch_size": 8,
    "input": [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [4]},
        {"name": "n", "data_type": "TYPE_INT64", "dims": [4]},
    ],
    "output": [
        {"name": "y", "data_type": "TYPE_FP32", "dims": [4]},
        {"name": "m", "data_type": "TYPE_INT64", "dims": [4]},
    ],
    "dynamic_batching": {"preferred_batch_size": [4], "max_queue_delay_microseconds": 100},
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """An HTTP request, the `turn`-th of its connection; the names of its headers in lower case."""

    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    turn: int = 0

    @property
    def is_infer(self) -> bool:
        return self.path.endswith("/infer")

    def document(self) -> dict[str, Any]:
        """The JSON of an inference request."""
        length = int(self.headers.get(LENGTH, len(self.body)))
        found: dict[str, Any] = json.loads(self.body[:length])
        return found

    def with_document(self, document: dict[str, Any]) -> "Asked":
        """The same with other JSON before its binary data."""
        length = int(self.headers.get(LENGTH, len(self.body)))
        text = json.dumps(document).encode()
        headers = self.headers | ({LENGTH: str(len(text))} if LENGTH in self.headers else {})
        return replace(self, body=text + self.body[length:], headers=headers)


@dataclass(frozen=True, kw_only=True)
class Told:
    """An HTTP answer; a status of 0 closes the connection without one."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.body)

    def with_json(self, content: Any) -> "Told":
        return replace(self, body=json.dumps(content).encode())


class RefusedError(Exception):
    """A status and a text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def refuse_unless(condition: object, text: str, status: int = 400) -> None:
    if not condition:
        raise RefusedError(status, text)


class RightServer:
    """Answers as the specifications say. y is twice x and n; m is n and one."""

    def __init__(self) -> None:
        self.rows = self.requests = self.failures = 0
        self.last = self.taken = Told(status=200)
        self.asked: list[Asked] = []

    def answer(self, asked: Asked) -> Told:
        self.last = self._answer(asked)
        return self.last

    def _answer(self, asked: Asked) -> Told:
        try:
            return self._coded(asked, self._route(self._uncoded(asked)))
        except RefusedError as error:
            self.failures += asked.is_infer
            return _json({"error": str(error)}, error.status)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.failures += asked.is_infer
            return _json({"error": f"malformed: {error!r}"}, 400)

    def _route(self, asked: Asked) -> Told:
        """The answer, or RefusedError."""
        words = asked.path.strip("/").split("/")[1:]
        if words[:1] == ["models"] and len(words) > 1 and words != ["models", "stats"]:
            name = "".join(
                chr(int(part[:2], 16)) + part[2:] if i else part for i, part in enumerate(words[1].split("%"))
            )
            version = words[3] if words[2:3] == ["versions"] else "1"
            refuse_unless(name == MODEL and version == "1", "no such model or version", 404)
            return self._of_model(asked, "/".join(words[4:] if words[2:3] == ["versions"] else words[2:]))
        return self._of_server(asked, "/".join(words))

    def _of_server(self, asked: Asked, path: str) -> Told:
        if path == "repository/index":
            _need(asked, "POST")
            ready = json.loads(asked.body or b"{}").get("ready", False)
            entries = [{"name": MODEL, "version": "1", "state": "READY", "reason": ""}]
            return _json(entries + [{"name": "bad", "state": "UNAVAILABLE", "reason": "no file"}] * (not ready))
        if path == "logging" and asked.method == "POST":
            refuse_unless(json.loads(asked.body).keys() <= SETTINGS.keys(), "no such setting")
            return _json(SETTINGS)
        if path.startswith("systemsharedmemory/region/"):
            raise RefusedError(400, "no such memory")
        known: dict[str, Any] = {
            "": {"name": "right", "version": "1", "extensions": EXTENSIONS},
            "health/live": None,
            "health/ready": None,
            "models/stats": self._stats(),
            "logging": SETTINGS,
            "trace/setting": TRACE,
            "systemsharedmemory/status": [],
        }
        refuse_unless(path in known, "Not Found", 404)
        _need(asked, "GET")
        return Told(status=200) if known[path] is None else _json(known[path])

    def _of_model(self, asked: Asked, path: str) -> Told:
        if path == "infer":
            _need(asked, "POST")
            return self._infer(asked)
        known: dict[str, Any] = {
            "": METADATA,
            "ready": None,
            "config": CONFIG,
            "stats": self._stats(),
            "trace/setting": TRACE,
        }
        refuse_unless(path in known, "Not Found", 404)
        _need(asked, "GET")
        return Told(status=200) if known[path] is None else _json(known[path])

    def _infer(self, asked: Asked) -> Told:
        length = asked.headers.get(LENGTH, str(len(asked.body)))
        refuse_unless(length.isdecimal() and int(length) <= len(asked.body), "no such length")
        document, rest = json.loads(asked.body[: int(length)]), asked.body[int(length) :]
        parameters = document.get("parameters", {})
        for key, value in parameters.items():
            refuse_unless(isinstance(value, str | int | float) and not key.startswith("triton_"), f"parameter {key}")
        refuse_unless(isinstance(parameters.get("timeout", 0), int), "timeout")
        tensors: dict[str, Any] = {}
        for entry in document["inputs"]:
            refuse_unless(entry["name"] not in tensors, "twins")
            tensors[entry["name"]], rest = _input(entry, rest)
        refuse_unless(not rest, "bytes left over")
        refuse_unless(tensors.keys() == {"x", "n"} and len(tensors["x"]) == len(tensors["n"]), "inputs are x and n")
        outputs = {"y": 2 * tensors["x"] + tensors["n"].astype("<f4"), "m": tensors["n"] + 1}
        self.rows, self.requests = self.rows + len(tensors["x"]), self.requests + 1
        binary = parameters.get("binary_data_output") is True
        wanted = document.get("outputs") or [{"name": name, "parameters": {"binary_data": binary}} for name in outputs]
        names = [one["name"] for one in wanted]
        refuse_unless(set(names) <= outputs.keys() and len(set(names)) == len(names), "outputs are y and m")
        return _inferred(document, wanted, outputs)

    def _stats(self) -> dict[str, Any]:
        def times(count: int) -> dict[str, int]:
            return {"count": count, "ns": 1000 * count}

        parts = {key: times(self.requests) for key in ("compute_input", "compute_infer", "compute_output")}
        one = {
            "name": MODEL,
            "version": "1",
            "last_inference": 1,
            "inference_count": self.rows,
            "execution_count": self.requests,
            "inference_stats": {
                "success": times(self.requests),
                "fail": times(self.failures),
                "queue": times(self.requests),
                **parts,
            },
            "batch_stats": [{"batch_size": 1, **parts}],
        }
        return {"model_stats": [one]}

    def _uncoded(self, asked: Asked) -> Asked:
        coding = asked.headers.get("content-encoding", "identity")
        refuse_unless(coding in {"identity", "gzip", "deflate"}, "no such coding")
        try:
            plain = gzip.decompress(asked.body) if coding == "gzip" else asked.body
            plain = zlib.decompress(asked.body) if coding == "deflate" else plain
        except (OSError, EOFError, zlib.error) as error:
            raise RefusedError(400, str(error)) from None
        return replace(asked, body=plain)

    def _coded(self, asked: Asked, told: Told) -> Told:
        coding = asked.headers.get("accept-encoding", "identity")
        if coding not in {"gzip", "deflate"} or not asked.is_infer:
            return told
        packed = gzip.compress(told.body) if coding == "gzip" else zlib.compress(told.body)
        return replace(told, body=packed, headers={**told.headers, "Content-Encoding": coding})


METADATA: dict[str, Any] = {
    "name": MODEL,
    "versions": ["1"],
    "platform": "none",
    "inputs": [
        {"name": "x", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "n", "datatype": "INT64", "shape": [-1, 4]},
    ],
    "outputs": [
        {"name": "y", "datatype": "FP32", "shape": [-1, 4]},
        {"name": "m", "datatype": "INT64", "shape": [-1, 4]},
    ],
}
Fault = Callable[[Asked, RightServer], Told | None]
"""What is answered instead; None for what the right server answers."""


@contextmanager
def serving(fault: Fault = lambda *_: None, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The server's URL while the block runs."""
    right = RightServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 5

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(method=self.command, path=self.path, headers=headers, body=self._body(headers))
            told = fault(asked, right) or right.answer(asked)
            if not told.status:
                self.close_connection = True
                return
            self.send_response(told.status)
            for name, value in {"Content-Length": str(len(told.body)), **told.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body)

        def _body(self, headers: dict[str, str]) -> bytes:
            if headers.get("transfer-encoding") != "chunked":
                return self.rfile.read(int(headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """A client may leave."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls:  # each connection shakes hands in its own thread, when it is first read
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http{'s' * bool(tls)}://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _need(asked: Asked, method: str) -> None:
    refuse_unless(asked.method == method, f"use {method}", 405)


def _json(content: Any, status: int = 200) -> Told:
    return Told(status=status, body=json.dumps(content).encode(), headers={"Content-Type": "application/json"})


def _input(entry: dict[str, Any], rest: bytes) -> tuple[Any, bytes]:
    datatype = {"x": "FP32", "n": "INT64"}.get(entry["name"])
    refuse_unless(datatype is not None and entry["datatype"] == datatype, "no such input, or another datatype")
    shape, size = entry["shape"], entry.get("parameters", {}).get("binary_data_size")
    refuse_unless(all(type(axis) is int and axis >= 0 for axis in shape) and shape[1:] == [4], f"shape {shape}")
    refuse_unless(shape[0] <= 8 and (size is None) != ("data" not in entry), "data or bytes")
    dtype = np.dtype(DTYPES[str(datatype)])
    if size is None:
        values = np.array(entry["data"], dtype).reshape(-1)
        refuse_unless(values.size == math.prod(shape), "elements")
        return values.reshape(shape), rest
    refuse_unless(size == math.prod(shape) * dtype.itemsize and len(rest) >= size, "bytes")
    return np.frombuffer(rest[:size], dtype).reshape(shape), rest[size:]


def _inferred(document: dict[str, Any], wanted: list[dict[str, Any]], outputs: dict[str, Any]) -> Told:
    entries, raws = [], []
    for one in wanted:
        array, parameters = outputs[one["name"]], one.get("parameters", {})
        datatype = "FP32" if one["name"] == "y" else "INT64"
        values = array.reshape(-1).tolist()
        raw = array.tobytes()
        if count := parameters.get("classification"):
            best = np.argsort(-array, axis=1)[:, :count]
            values = [f"{array[row, index]:f}:{index}" for row in range(len(array)) for index in best[row]]
            raw = b"".join(len(text).to_bytes(4, "little") + text.encode() for text in values)
            array, datatype = best, "BYTES"
        entry = {"name": one["name"], "datatype": datatype, "shape": list(array.shape)}
        if parameters.get("binary_data"):
            raws.append(raw)
            entries.append({**entry, "parameters": {"binary_data_size": len(raw)}})
        else:
            entries.append({**entry, "data": values})
    answer = {"model_name": MODEL, "model_version": "1", "outputs": entries}
    if "id" in document:
        answer["id"] = document["id"]
    told = _json(answer)
    if not raws:
        return told
    length = {"Inference-Header-Content-Length": str(len(told.body)), "Content-Type": "application/octet-stream"}
    return replace(told, body=told.body + b"".join(raws), headers=length)
