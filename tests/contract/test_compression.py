"""Content codings in both directions, on both entrances."""

import gzip
import json
import random
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient import http as triton

from tests.contract.live import LIMITS, Client, Live, ask, body, status
from tests.contract.raw import INFER, document, post, tensor

ANSWER = {"name": "y", "shape": [1, 2], "datatype": "FP32", "data": [3.0, 5.0]}
TEXT = document()


@pytest.fixture
def client(server: Live) -> Iterator[triton.InferenceServerClient]:
    """A client of each server."""
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as connected:
        yield connected


def bare_deflate(text: bytes) -> bytes:
    """Without the envelope of a zlib stream."""
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(text) + stream.flush()


def packed(text: bytes, level: int = 9) -> bytes:
    """In gzip, and the same at every time of the day."""
    return gzip.compress(text, level, mtime=0)


def sent(server: Live, coding: str, content: bytes, *headers: str) -> bytes:
    return ask(server.port, post(INFER, content, f"Content-Encoding: {coding}", *headers))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("there", ["gzip", "deflate", None])
@pytest.mark.parametrize("back", ["gzip", "deflate", None])
def test_the_client_compresses(
    client: triton.InferenceServerClient, there: str | None, back: str | None, binary: bool
) -> None:
    """In each direction and neither, with JSON and with binary data: the length in the header is that of the JSON
    before it was compressed.
    """
    x = np.arange(4096, dtype=np.float32).reshape(1, -1)
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x, binary_data=binary)
    wanted = triton.InferRequestedOutput("y", binary_data=binary)

    result = client.infer(
        "affine",
        [tensor],
        outputs=[wanted],
        request_compression_algorithm=there,
        response_compression_algorithm=back,
    )

    np.testing.assert_array_equal(x * 2 + 1, result.as_numpy("y"))


@pytest.mark.parametrize(
    "coding,content",
    [
        ("gzip", packed(TEXT)),
        ("GZIP", packed(TEXT[:5]) + packed(TEXT[5:])),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", bare_deflate(TEXT)),
    ],
)
def test_every_form_of_a_coding_is_read(server: Live, coding: str, content: bytes) -> None:
    """A gzip file of several members is one body; deflate has an envelope, and is also understood without."""
    answer = sent(server, coding, content)

    assert 200 == status(answer)
    assert [ANSWER] == json.loads(body(answer))["outputs"]


def test_a_body_of_many_pieces_is_one(server: Live) -> None:
    """What is unpacked piece by piece, also where members end inside of a piece."""
    text = document(tensor(list(range(10000)), shape=[1, 10000]))
    noise = random.Random(3).randbytes(200_000).hex().encode()
    for content in (packed(text, 0), packed(text[:9]) + packed(text[9:], 0), packed(text)):
        answer = sent(server, "gzip", content)
        assert 200 == status(answer)
        assert 10000 == len(json.loads(body(answer))["outputs"][0]["data"])
    assert 413 == status(sent(server, "gzip", packed(noise)))


def test_plain_json_may_be_compressed_too(server: Live) -> None:
    """The other protocol's bodies and answers."""
    content = packed(b'{"instances": [[1, 2]]}')
    path = "/v1/models/affine:predict"
    answer = ask(server.port, post(path, content, "Content-Encoding: gzip", "Accept-Encoding: deflate"))

    assert {"predictions": [[3.0, 5.0]]} == json.loads(zlib.decompress(body(answer)))
    assert 400 == status(ask(server.port, post(path, content[:-9], "Content-Encoding: gzip")))


@pytest.mark.parametrize(
    "coding,content,text",
    [
        ("gzip", TEXT, "isn't gzip"),
        ("gzip", packed(TEXT)[:-9], "is cut off"),
        ("gzip", packed(TEXT) + b"more", "isn't gzip"),
        ("deflate", zlib.compress(TEXT) + b"more", "isn't deflate"),
        ("deflate", b"\xff" * 20, "isn't deflate"),
        ("gzip", packed(b"") * 2000 + packed(TEXT), "isn't gzip"),
        ("gzip, gzip", packed(packed(TEXT)), "isn't supported"),
    ],
)
def test_what_is_not_of_its_coding_is_refused(server: Live, coding: str, content: bytes, text: str) -> None:
    """By name; the connection stays of use, and the refusal is counted."""
    counted = len(server.engine.refused)
    with Client(server.port) as connected:
        connected.send(post(INFER, content, f"Content-Encoding: {coding}"))
        answer = connected.answer()
        connected.send(post(INFER, TEXT))
        assert 200 == status(connected.answer())

    assert 400 == status(answer)
    assert text in json.loads(body(answer))["error"]
    assert counted + 1 == len(server.engine.refused)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_bomb_is_refused_at_the_limit(server: Live, coding: str) -> None:
    """What a body comes to is bounded as a plain one is, and no more of it is unpacked."""
    zeros = bytes(50 * LIMITS.max_binary_bytes)
    body_sent = packed(zeros) if coding == "gzip" else zlib.compress(zeros)
    assert len(body_sent) < LIMITS.max_json_bytes
    answer = sent(server, coding, body_sent)

    assert 413 == status(answer)
    assert "too_large" == json.loads(body(answer))["reason"]


@pytest.mark.parametrize(
    "accepted,coding", [("gzip", "gzip"), ("DEFLATE", "deflate"), ("gzip, deflate, br", ""), ("br", "")]
)
def test_only_one_who_asks_is_answered_compressed(server: Live, accepted: str, coding: str) -> None:
    """Who accepts several by default gets the quicker plain answer; a refusal is never compressed."""
    answer = ask(server.port, post(INFER, TEXT, f"Accept-Encoding: {accepted}"))
    head, _, content = answer.partition(b"\r\n\r\n")
    if coding:
        content = gzip.decompress(content) if coding == "gzip" else zlib.decompress(content)

    assert [ANSWER] == json.loads(content)["outputs"]
    assert (f"content-encoding: {coding}".encode() in head) is bool(coding)
    refused = ask(server.port, post(INFER, b"{", f"Accept-Encoding: {accepted}"))
    assert b"content-encoding" not in refused
    assert 400 == status(refused)
