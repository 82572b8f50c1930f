"""However requests are cut into pieces on their way, the answers are the same."""

import asyncio
from collections.abc import Collection
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from service.logs import LogControl
from service.protocol.client_memory import ClientMemory
from service.protocol.http.app import build_app
from service.protocol.http.fast import fast_protocol
from service.protocol.limits import Limits
from tests.contract.double_engine import DoubleEngine
from tests.contract.raw import INFER, as_float, binary, chunked, document, get, infer, post, tensor

ENGINE = DoubleEngine()
LIMITS = Limits(max_json_bytes=2000)
REQUESTS = (
    infer(),
    infer(tensor([3.0, 4.0])),
    infer(tensor([3.0, 4.0]), id="n"),
    infer(tensor([3.0, 4.0]), headers=("X-Request-Timeout-Ms: 9000",)),
    infer(headers=("Expect: 100-continue",)),
    binary(as_float(1, 2), "FP32"),
    binary(as_float(3, 4), "FP32"),
    binary(as_float(3, 4), "FP32", parameters={"binary_data_output": True}),
    post(INFER, document()[:-1] + b"!"),
    post(INFER, b"\r\n" * 40),
    chunked(INFER, document()[:30], document()[30:]),
    get("/v2/health/live"),
    post("/v2/models/failing/infer", document()),
    post("/v2/models/wrong/infer", document()),
    post(INFER, infer()),
    infer() + b"\r\n",
    b"\r\n" + infer(),
)


class MemoryTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended, "nothing can be written after the end"
        self.written += bytes(data)

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def pause_reading(self) -> None:
        """Nothing to do: the test hands over what it likes."""

    def resume_reading(self) -> None:
        """Nothing to do either."""


@cache
def server() -> tuple[type[HttpToolsProtocol], Config]:
    """The fast protocol over the application."""
    protocol_class = fast_protocol(ENGINE, LIMITS, ClientMemory(allowed=False))
    app = build_app(ENGINE, LIMITS, LogControl(), ClientMemory(allowed=False))
    return protocol_class, Config(
        app, http=protocol_class, ws="none", lifespan="off", log_config=None, access_log=False
    )


async def talk(pieces: list[bytes], at_once: Collection[int] = ()) -> bytes:
    """All that a connection answers to these pieces, each of them given when all before is answered; those of the
    numbers `at_once` right after the one before.
    """
    protocol_class, config = server()
    protocol = protocol_class(config, ServerState(), {})
    transport = MemoryTransport()
    protocol.connection_made(transport)
    for number, piece in enumerate(pieces):
        protocol.data_received(piece)
        if number + 1 in at_once:
            continue
        written = -1
        while ENGINE.waiting or protocol.tasks or written != len(transport.written):
            written = len(transport.written)
            await asyncio.sleep(0)
            if protocol.stage and not ENGINE.waiting and not protocol.pipeline:  # type: ignore[attr-defined]
                await asyncio.sleep(0)
                break  # a task may wait for the rest of its body
    transport.close()
    protocol.connection_lost(None)
    await asyncio.gather(*protocol.tasks)
    return transport.written


@pytest.fixture(scope="module")
def alone() -> list[bytes]:
    """The answer to each request on a connection of its own."""
    return [asyncio.run(talk([request])) for request in REQUESTS]


@given(data=st.data())
def test_any_pieces(data: st.DataObject, alone: list[bytes]) -> None:
    """Requests in any order, cut anywhere or sent together, are answered as each of them alone is."""
    drawn = data.draw(st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=3))
    order = [index for index in drawn for _ in range(2)]  # twice, since headers that come again take another way
    stream = b"".join(REQUESTS[index] for index in order)
    ends = [sum(len(REQUESTS[index]) for index in order[:count]) for count in range(1, len(order))]
    cuts = data.draw(st.sets(st.integers(0, len(stream)), max_size=4))
    whole = data.draw(st.sets(st.sampled_from(ends))) if ends else set()
    edges = sorted({0, len(stream)} | cuts | whole)
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    at_once = data.draw(st.sets(st.integers(0, len(pieces) - 1)))

    assert asyncio.run(talk(pieces, at_once)) == b"".join(alone[index] for index in order)


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /v2/models/anything HTTP/1.1\r\nX-A: ",  # what follows is a header's value
        post(INFER, infer())[: -len(infer())],  # what follows is a body
    ],
)
def test_what_looks_like_a_known_request_is_none_within_another(begun: bytes) -> None:
    """A piece that begins like an earlier request is parsed where it continues one that has begun."""
    known = infer()
    alone = asyncio.run(talk([known]))

    assert asyncio.run(talk([known, known, known + begun, known])) == 3 * alone + asyncio.run(talk([begun + known]))


REFUSED = post("/v2/models/wrong/infer", document())
"""Answered while it is being parsed."""


@pytest.mark.parametrize(
    "rest",
    [
        infer(),  # under way when the next piece comes
        get("/v2/health/live"),
        post(INFER, infer())[: -len(infer())],  # the next piece is its body
        b"no HTTP at all\r\n\r\n",  # the next piece is dropped
    ],
)
def test_what_follows_a_refusal_in_its_piece_comes_first(rest: bytes) -> None:
    """A refusal is answered at once, but its connection isn't free while more of the same piece is to be read."""
    known = infer()
    pieces = [known, known, REFUSED + rest, known]
    first = 2 * asyncio.run(talk([known]))

    assert asyncio.run(talk(pieces, at_once={3})) == first + asyncio.run(talk([REFUSED + rest + known]))
