"""Hostile streams of bytes for a connection: HTTP/1.1 that is nearly right, and frames of HTTP/2 that are."""

import gzip
import struct
from itertools import pairwise
from random import Random

import numpy as np
from tritonclient.grpc import service_pb2 as pb

from tests.contract.raw import as_float, binary, chunked, document, get, infer, post, tensor
from tests.fuzz.mutation import END, bytes_changed, http_changed, message_changed

_PATH = "/v2/models/rows/infer"
_ROW = tensor([1.0, 2, 3, 4], shape=[1, 4])
_TEXT = document(_ROW)
REQUESTS = (
    infer(_ROW, path=_PATH),
    binary(as_float(1, 2, 3, 4), "FP32", path=_PATH, parameters={"binary_data_output": True}),
    post(_PATH, as_float(1, 2, 3, 4).tobytes(), "Inference-Header-Content-Length: 0"),
    infer(_ROW, path=_PATH, headers=("Expect: 100-continue",)),
    chunked(_PATH, _TEXT[:20], _TEXT[20:], trailer="X-Sum: 1\r\n"),
    post(_PATH, gzip.compress(_TEXT, mtime=0), "Content-Encoding: gzip"),
    post("/v1/models/rows:predict", b'{"instances": [[1, 2, 3, 4]]}'),
    post("/v2/repository/index", b'{"ready": true}'),
    get("/v2/health/ready"),
    get("/v2/models/rows/config"),
)
"""Of both entrances: callbacks alone, and the application."""
_LINES = (
    *(b"Content-Length: 0", b"Content-Length: 7", b"Content-Length: +7", b"Content-Length: -1", b"Content-Length: 0x7"),
    *(b"Content-Length: 7, 7", b"Content-Length:", b"Content-Length : 7", b"Content-Length: 99999999999999999999"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity"),
    *(b"Transfer-Encoding : chunked", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: gzip, chunked"),
    *(b"Content-Encoding: gzip", b"Accept-Encoding: deflate", b"Expect: 100-continue", b"Expect: 200-ok"),
    *(b"Connection: close", b"Connection: Upgrade\r\nUpgrade: h2c", b"Connection: Upgrade\r\nUpgrade: websocket"),
    *(b"X: a\r\n b", b"X: \x00", b" X: a", b"no colon", b": no name", b"X\xff: a", b"X: " + b"a" * 20_000),
    *(b"Inference-Header-Content-Length: 5", b"X-Request-Timeout-Ms: 1e9", b"X: a\r\n" * 2000, b"X: a\nY: b", b"\r"),
)
_STARTS = (
    *(b"GET / HTTP/1.1", b"POST * HTTP/1.1", b"OPTIONS * HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"HEAD /v2 HTTP/1.1"),
    *(b"POST /v2/models/rows/infer HTTP/1.0", b"POST /v2/models/rows/infer HTTP/9.9", b"POST /v2/models/rows/infer"),
    *(
        b"POST /v2/models/%00/infer HTTP/1.1",
        b"POST /v2/models/../infer HTTP/1.1",
        b"POST  / HTTP/1.1",
        b"\x16\x03\x01",
    ),
    *(
        b"PRI * HTTP/2.0",
        b"POST /v2/models/" + b"a" * 20_000 + b"/infer HTTP/1.1",
        b"POST /\xff HTTP/1.1",
        b"post / http/1.1",
    ),
)
_CHUNKS = (
    *(
        b"zz\r\n",
        b"-1\r\n",
        b"ffffffffffffffff1\r\n",
        b"5;" + b"a" * 40_000 + b"\r\n",
        b"5\r\nab",
        b"0\r\n\r\n",
        b"5\n",
    ),
    *(b"1\r\n{\r\n" * 3000, b"0x5\r\nabcde\r\n", b" 5\r\nabcde\r\n", b"5\r\nabcdeXX"),
)


def http_stream(random: Random) -> list[bytes]:
    """A few requests one after the other, some of them changed, in pieces."""
    stream = b"".join(_hostile(random, random.choice(REQUESTS)) for _ in range(random.randint(1, 4)))
    if not random.randrange(4):
        stream += random.randbytes(random.randint(1, 200))
    edges = sorted({0, len(stream), *(random.randint(0, len(stream)) for _ in range(random.randint(0, 4)))})
    return [stream[start:end] for start, end in pairwise(edges)]


def _hostile(random: Random, request: bytes) -> bytes:
    head, _, body = request.partition(END)
    lines = head.split(b"\r\n")
    match random.randrange(8):
        case 0:
            return request
        case 1 | 2:
            lines.insert(random.randint(1, len(lines)), random.choice(_LINES))
        case 3:
            lines[0] = random.choice(_STARTS)
        case 4:
            del lines[random.randrange(len(lines))]
        case 5:
            return b"\r\n".join([*(line for line in lines if not line.startswith(b"Content-L")), b""]) + (
                b"Transfer-Encoding: chunked\r\n\r\n" + random.choice(_CHUNKS) + random.choice(_CHUNKS) + b"0\r\n\r\n"
            )
        case 6:
            return http_changed(random, request, random.choice(REQUESTS))
        case _:
            return bytes_changed(random, request, random.choice(REQUESTS))
    return b"\r\n".join(lines) + END + body


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_END_STREAM, _END_HEADERS = 1, 4
_INFERENCE, _HEALTH = "/inference.GRPCInferenceService/", "/grpc.health.v1.Health/"
_REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
_RPCS = (
    *(_INFERENCE + "ModelInfer", _INFERENCE + "ModelStreamInfer", _INFERENCE + "ServerReady", _INFERENCE + "Nothing"),
    *(_INFERENCE + "ModelConfig", _INFERENCE + "RepositoryModelLoad", _HEALTH + "Check", _HEALTH + "Watch", "/", ""),
    _REFLECTION,
)


def grpc_stream(random: Random) -> bytes:
    """A connection's preface, settings, and calls, of which some bytes, frames or messages aren't as they should be."""
    frames = [_frame(_SETTINGS, 0, 0, b"")]
    for number in range(random.randint(1, 4)):
        frames += _call(random, 2 * number + 1)
    for _ in range(random.randint(0, 3)):
        index = random.randrange(len(frames))
        match random.randrange(5):
            case 0:
                del frames[index : index + 1]
                frames.append(_frame(_PING, 0, 0, bytes(8)))
            case 1:
                frames[index] *= random.choice((2, 50))
            case 2:
                frames[index] = bytes_changed(random, frames[index], frames[0])[:20_000]
            case 3:
                frames[index] = _frame(*(random.randrange(12), random.randrange(256), random.randrange(9), b"\0\0\0\1"))
            case _:
                frames[index] = random.randbytes(random.randint(0, 60))
    return (_PREFACE if random.randrange(8) else bytes_changed(random, _PREFACE, b"")) + b"".join(frames)


def opening(path: bytes) -> bytes:
    """A connection's preface, and a call to whatever method, without a message."""
    fields = {":method": "POST", ":scheme": "http", ":path": path.decode("latin-1"), ":authority": "test"}
    fields |= {"te": "trailers", "content-type": "application/grpc"}
    call = _frame(_HEADERS, _END_HEADERS | _END_STREAM, 1, _packed(fields))
    return _PREFACE + _frame(_SETTINGS, 0, 0, b"") + call


def _call(random: Random, stream: int) -> list[bytes]:
    """The frames of a call; the message, its length or its headers may be wrong."""
    row = np.ones(4, np.float32).tobytes()
    request = pb.ModelInferRequest(model_name="rows", raw_input_contents=[row])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    message = request.SerializeToString()
    if random.randrange(2):
        message = message_changed(random, message, message)[:4096]
    path = random.choice(_RPCS)
    if path == _REFLECTION:  # a library's own: of a message that it can't read it would write a trace
        message = b""
    length = random.choice((len(message), len(message), 0, len(message) + 1, 2**31, 2**32 - 1))
    prefix = struct.pack(">BI", random.choice((0, 0, 0, 1, 7)), length)
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "test",
        "te": "trailers",
        "content-type": random.choice(("application/grpc", "application/grpc", "text/plain", "")),
        "grpc-timeout": random.choice(("5S", "5S", "1n", "-1S", "99999999999H", "x")),
        "grpc-encoding": random.choice(("identity", "identity", "gzip", "nonsense")),
        "x": random.choice(("", "a" * 100, "a" * 120, "\x00", "\n")),
    }
    return [
        _frame(_HEADERS, _END_HEADERS, stream, _packed(fields)),
        _frame(_DATA, _END_STREAM, stream, prefix + message),
    ]


def _frame(kind: int, flags: int, stream: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + struct.pack(">BBI", kind, flags, stream) + content


def _packed(fields: dict[str, str]) -> bytes:
    """Headers by HPACK (RFC 7541), each a literal that isn't indexed; of at most 126 bytes."""
    parts = []
    for name, value in fields.items():
        parts += [b"\0", bytes([len(name)]), name.encode(), bytes([len(value)]), value.encode("latin-1")]
    return b"".join(parts)
