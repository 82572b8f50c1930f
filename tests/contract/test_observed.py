"""What is told of requests, at every way out of the HTTP door."""

import time
from collections.abc import Iterator

import pytest

from service.protocol.limits import Limits
from service.telemetry.span import Kind
from tests.contract.listener import Listener
from tests.contract.live import Client, Live, ask, body, eventually, serve, status
from tests.contract.raw import INFER, chunked, get, infer, post, tensor

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ROUTE = "/v2/models/{model}/infer"
HASTE = Limits(max_json_bytes=65536, receive_seconds=0.2)


def traced(flags: str = "01") -> str:
    return f"traceparent: 00-{TRACE}-{CALLER}-{flags}"


@pytest.fixture
def before(listener: Listener) -> int:
    """How many calls were told of before this test."""
    return len(listener.told)


@pytest.mark.parametrize("entrance", ["fast", "ASGI"])
def test_a_call_says_what_was_asked_and_answered(
    entrance: str, observed_server: Live, listener: Listener, before: int
) -> None:
    """Bytes of the bodies, status and times; the trace and its caller are those of the header."""
    text = infer(headers=(traced(),))
    content = text.partition(b"\r\n\r\n")[2]
    answer = ask(observed_server.port, text if entrance == "fast" else chunked(INFER, content, headers=(traced(),)))
    call = listener.next(before)

    assert ("POST", INFER, ROUTE, 200) == (call.method, call.target, call.route, call.status)
    assert (len(content), len(body(answer))) == (call.received, call.sent)
    assert TRACE == call.trace
    assert call.parent
    assert call.span
    assert (f"{call.parent.span:016x}", Kind.SERVER) == (CALLER, call.span.kind)
    assert 0 < call.ended - call.began < 5


@pytest.mark.parametrize(
    "text,expected,path",
    [
        (get("/v2/health/live"), 200, "/v2/health/live"),
        (get("/nowhere"), 404, "/nowhere"),
        (post("/v2", b""), 405, "/v2"),
        (infer(path="/v2/models/nobody/infer"), 404, "/v2/models/nobody/infer"),
        (infer(path="/v2/models/full/infer"), 503, "/v2/models/full/infer"),
        (post(INFER, b"{"), 400, INFER),
        (post(INFER, b" " * 70000), 413, INFER),
        (chunked(INFER, b" " * 70000), 413, INFER),
        (b"GARBAGE\r\n\r\n", 400, "-"),
        (get("/v2", "X: " + "x" * 70000), 431, "/v2"),
    ],
    ids=lambda value: value.decode("latin-1")[:30].split("HTTP")[0] if isinstance(value, bytes) else str(value),
)
def test_refusals_are_told_of(
    text: bytes, expected: int, path: str, observed_server: Live, listener: Listener, before: int
) -> None:
    """Whoever refuses: a route, the engine, a door by the headers or the body, the parser."""
    with Client(observed_server.port) as client:
        client.send(text)
        assert expected == status(client.answer())
    call = listener.next(before)
    assert (expected, path) == (call.status, call.target)


def test_what_is_refused_unread_is_told_of(observed_server: Live, listener: Listener, before: int) -> None:
    """By its headers, which are known, while the connection is read."""
    hopeless, answer = infer(path="/v2/models/overloaded/infer"), b""
    with Client(observed_server.port) as client:
        for _ in range(3):
            client.send(hopeless)
            answer = client.answer()
    eventually(lambda: len(listener.told) == before + 3)

    content = len(hopeless.partition(b"\r\n\r\n")[2])
    assert {(503, content, len(body(answer)))} == {
        (call.status, call.received, call.sent) for call in listener.told[before:]
    }


def test_each_request_of_a_connection_is_in_its_own_trace(
    observed_server: Live, listener: Listener, before: int
) -> None:
    """Also where the headers of the one before it are known: those that name a trace aren't kept."""
    texts = [infer(tensor([1, 2])), infer(tensor([3, 4])), infer(headers=(traced(),)), infer(headers=(traced("00"),))]
    with Client(observed_server.port) as client:
        for text in (*texts, texts[0]):
            client.send(text)
            assert 200 == status(client.answer())
    eventually(lambda: len(listener.told) == before + 5)

    calls = listener.told[before:]
    assert [False, False, True, True, False] == [call.trace == TRACE for call in calls]
    assert 4 == len({call.trace for call in calls})
    assert [True, True, True, False, True] == [call.span.context.sampled for call in calls if call.span]


def test_a_client_that_goes_is_told_of(observed_server: Live, listener: Listener, before: int) -> None:
    """As 499, whether its request was whole or not."""
    for text in (infer(path="/v2/models/never/infer"), infer()[:-5]):
        with Client(observed_server.port) as client:
            client.send(text)
            time.sleep(0.1)
    eventually(lambda: len(listener.told) == before + 2)
    assert [499, 499] == [call.status for call in listener.told[before:]]


def test_pipelined_requests_are_told_of_one_by_one(observed_server: Live, listener: Listener, before: int) -> None:
    """Those behind the first go through ASGI."""
    with Client(observed_server.port) as client:
        client.send(infer(tensor([1, 0])) + infer(tensor([2, 0])) + get("/v2/health/live"))
        assert [200] * 3 == [status(client.answer()) for _ in range(3)]
    eventually(lambda: len(listener.told) == before + 3)
    assert [INFER, INFER, "/v2/health/live"] == [call.target for call in listener.told[before:]]


@pytest.fixture(scope="module")
def hasty() -> Iterator[tuple[Live, Listener]]:
    """A server that waits a fifth of a second for a request, and who listens."""
    listener = Listener()
    with serve(fast=True, limits=HASTE, calls=listener.calls) as live:
        yield live, listener


def test_a_client_that_is_too_slow_is_told_of_once(hasty: tuple[Live, Listener]) -> None:
    """As 408, with the path if that has come."""
    live, listener = hasty
    for text in (infer()[:-5], b"POST /v2/models/aff"):
        with Client(live.port) as client:
            client.send(text)
            assert 408 == status(client.answer())
    eventually(lambda: len(listener.told) == 2)
    assert [(408, INFER), (408, "/v2/models/aff")] == [(call.status, call.target) for call in listener.told]


def test_who_is_not_sampled_is_told_of_nowhere() -> None:
    """Where there is no access log either: a call is begun, since its trace goes on from here, and that is all."""
    listener = Listener(ratio=0.0)
    listener.calls._log = None
    with serve(fast=True, calls=listener.calls) as live:
        assert 200 == status(ask(live.port, infer()))
        assert 200 == status(ask(live.port, chunked(INFER, infer().partition(b"\r\n\r\n")[2])))
        assert 200 == status(ask(live.port, infer(headers=(traced(),))))
        eventually(lambda: listener.spans)
    assert {TRACE} == {span.context.trace_id for span in listener.spans}
    assert [] == listener.told
