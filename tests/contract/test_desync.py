"""What another server in front might read otherwise: refused, and nothing behind it is taken for a request."""

import json

import pytest

from tests.contract.live import Client, Live, body, status
from tests.contract.raw import INFER, document, infer

INDEX = "/v2/repository/index"
"""A path of the application's, beside the one that is answered without it."""
_TEXT = document()
_BEHIND = infer(path="/v2/models/echo/infer", id="behind")


def _post(*lines: str, path: str = "?", version: str = "1.1", end: str = "\r\n") -> bytes:
    return end.join([f"POST {path} HTTP/{version}", "Host: test", *lines, "", ""]).encode("latin-1")


def _chunked(*chunks: bytes) -> bytes:
    return _post("Transfer-Encoding: chunked") + b"".join(chunks)


_LENGTH = f"Content-Length: {len(_TEXT)}"
_WHOLE = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_TEXT), _TEXT)
DOUBTFUL = {
    "length and chunks": _post(_LENGTH, "Transfer-Encoding: chunked") + _WHOLE,
    "chunks and length": _post("Transfer-Encoding: chunked", "Content-Length: 4") + _WHOLE,
    "two lengths": _post(_LENGTH, "Content-Length: 3") + _TEXT,
    "the same length twice": _post(_LENGTH, _LENGTH) + _TEXT,
    "a list of lengths": _post(f"{_LENGTH}, {len(_TEXT)}") + _TEXT,
    "a sign before the length": _post("Content-Length: +5") + _TEXT,
    "a negative length": _post("Content-Length: -5") + _TEXT,
    "a length in hexadecimal": _post("Content-Length: 0x5") + _TEXT,
    "a length of no digits": _post("Content-Length: ") + _TEXT,
    "a length beyond 64 bits": _post("Content-Length: 18446744073709551617") + _TEXT,
    "a coding behind chunks": _post("Transfer-Encoding: chunked, identity") + _WHOLE,
    "a coding that is nearly chunks": _post("Transfer-Encoding: xchunked") + _WHOLE,
    "chunks behind a tab of another kind": _post("Transfer-Encoding: \x0bchunked") + _WHOLE,
    "a space before the colon": _post("Transfer-Encoding : chunked") + _WHOLE,
    "a chunk's size with a sign": _chunked(b"-5\r\n", _TEXT),
    "a chunk's size in C": _chunked(b"0x5\r\n", _TEXT),
    "a chunk's size that is none": _chunked(b"zz\r\n", _TEXT),
    "a chunk's size beyond 64 bits": _chunked(b"ffffffffffffffff1\r\n", _TEXT),
    "a chunk's size without CR": _chunked(b"%x\n%b\r\n0\r\n\r\n" % (len(_TEXT), _TEXT)),
    "a chunk that is longer than it says": _chunked(b"5\r\nabcdefg\r\n0\r\n\r\n"),
    "lines without CR": _post(_LENGTH, end="\n") + _TEXT,
    "a folded header": _post("X: a\r\n b", _LENGTH) + _TEXT,
    "NUL in a header": _post("X: a\x00b", _LENGTH) + _TEXT,
    "CR in a header": _post("X: a\rb", _LENGTH) + _TEXT,
    "a header without a name": _post(": a", _LENGTH) + _TEXT,
    "a header without a colon": _post("nothing", _LENGTH) + _TEXT,
    "a header that begins with a space": _post(" X: a", _LENGTH) + _TEXT,
    "another protocol's version": _post(_LENGTH, version="9.9") + _TEXT,
}


@pytest.mark.parametrize("path", [INFER, INDEX])
@pytest.mark.parametrize("doubtful", DOUBTFUL.values(), ids=DOUBTFUL)
def test_what_can_be_read_in_two_ways_is_refused(fast_server: Live, doubtful: bytes, path: str) -> None:
    """With one 400, after which the connection ends: nobody hears of what stands behind."""
    fast_server.engine.requests.clear()
    with Client(fast_server.port) as client:
        client.send(doubtful.replace(b"POST ?", b"POST " + path.encode(), 1) + _BEHIND)
        answer = client.answer()
        assert status(answer) == 400, answer
        assert json.loads(body(answer))["reason"] == "invalid_request"
        client.socket.shutdown(1)
        assert client.is_closed()
    assert not fast_server.engine.requests
