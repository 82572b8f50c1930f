"""What happens between requests: connections that stay, end, are slow, or ask for too much."""

import gc
import json
import time
from collections.abc import Iterator

import pytest

from service.protocol.http.guarded import GuardedProtocol
from service.protocol.limits import Limits
from tests.contract.live import LIMITS, Client, Live, ask, body, eventually, serve, status
from tests.contract.raw import INFER, chunked, document, get, infer, post, tensor

SLOW = "/v2/models/slow/infer"
NEVER = "/v2/models/never/infer"
HASTE = Limits(max_json_bytes=65536, receive_seconds=0.2)


@pytest.fixture(scope="module")
def hasty() -> Iterator[Live]:
    """A fast server that waits a fifth of a second for a request."""
    with serve(fast=True, limits=HASTE, keep_alive=1) as live:
        yield live


def value(answer: bytes) -> object:
    """The first element of the first output."""
    return json.loads(body(answer))["outputs"][0]["data"][0]


def test_a_connection_serves_many_requests(server: Live) -> None:
    """Requests of the same and of other sizes, and other routes between them, are answered in turn."""
    with Client(server.port) as client:
        for number in (1, 2, 3, 10, 11, 100, 4):
            client.send(infer(tensor([number, 0])))
            assert value(client.answer()) == 2 * number + 1
            if number == 3:
                client.send(get("/v2/health/live"))
                assert status(client.answer()) == 200


def test_a_request_may_come_in_any_pieces(server: Live) -> None:
    """Wherever a request is cut, and whatever was sent before it, its answer is the same."""
    request = infer(tensor([7, 0]))
    with Client(server.port) as client:
        for cut in (1, 4, 20, 60, len(request) - 60, len(request) - 1):
            client.send(request)
            assert value(client.answer()) == 15
            client.send(request[:cut])
            time.sleep(0.01)
            client.send(request[cut:])
            assert value(client.answer()) == 15


def test_refusals_leave_a_connection_as_it_was(server: Live) -> None:
    """Refused unread or not, every request gets an answer of its own, and those behind it theirs."""
    hopeless, hopeful = infer(path="/v2/models/overloaded/infer"), infer(tensor([3, 0]))
    with Client(server.port) as client:
        client.send(hopeless)
        refused = client.answer()
        unread = len(server.engine.refused)
        assert status(refused) == 503
        for _ in range(3):
            client.send(hopeless)
            assert client.answer() == refused
            client.send(hopeful)
            assert value(client.answer()) == 7
        assert [("overloaded", None, "deadline_infeasible")] * 3 == server.engine.refused[unread:]
        client.send(hopeless + hopeful + hopeless)
        assert [status(client.answer()) for _ in range(3)] == [503, 200, 503]
        client.send(hopeless[:-2])
        client.send(hopeless[-2:])
        assert client.answer() == refused


def test_a_fault_while_refusing_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a 500 on a connection that lasts, whether the request's headers are known or not."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    request = infer(path="/v2/models/overloaded/infer")
    with serve(fast=True) as live, Client(live.port) as client:
        client.send(request)
        assert status(client.answer()) == 503
        monkeypatch.setattr(live.engine, "precheck", fail)
        for _ in range(2):
            client.send(request)
            assert status(client.answer()) == 500


def test_pipelined_requests_are_answered_in_order(server: Live) -> None:
    """Requests that are sent without waiting get their answers in the order in which they were sent."""
    requests = [infer(tensor([number, 0]), path=SLOW if number % 3 == 0 else INFER) for number in range(7)]
    with Client(server.port) as client:
        client.send(b"".join(requests))
        assert [value(client.answer()) for _ in requests] == [2 * number + 1 for number in range(7)]
        client.send(infer())
        assert status(client.answer()) == 200


def test_a_pipelined_request_after_the_last_is_dropped(server: Live) -> None:
    """Nothing is answered after a request that ends the connection."""
    with Client(server.port) as client:
        client.send(infer(path=SLOW, headers=("Connection: close",)) + infer())
        assert status(client.answer()) == 200
        assert client.is_closed()


def test_empty_lines_between_requests_are_ignored(server: Live) -> None:
    """A line break after a body, or before a request, changes nothing."""
    request = infer(tensor([7, 0]))
    with Client(server.port) as client:
        for text in (*[request + b"\r\n"] * 3, *[b"\r\n" + request] * 3, request, request):
            client.send(text)
            assert value(client.answer()) == 15


def test_expect_100_continue(server: Live) -> None:
    """A client that asks first is told to go on."""
    request = infer(headers=("Expect: 100-continue",))
    head, _, rest = request.partition(b"\r\n\r\n")
    with Client(server.port) as client:
        client.send(head + b"\r\n\r\n")
        eventually(lambda: client.socket.recv(64).startswith(b"HTTP/1.1 100 Continue"))
        client.send(rest)
        assert status(client.answer()) == 200


def test_expect_100_continue_is_refused_when_too_large(server: Live) -> None:
    """A client that asks first with too much is refused without a word about going on."""
    answer = ask(server.port, get(INFER, "Content-Length: 999999", "Expect: 100-continue", method="POST"))

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_nothing_follows_a_refusal_on_a_connection(fast_server: Live, caplog: pytest.LogCaptureFixture) -> None:
    """A client that asked whether to go on isn't told so any more when what it sent was no chunk."""
    head = get(INFER, "Expect: 100-continue", "Transfer-Encoding: chunked", method="POST")
    answer = ask(fast_server.port, head + b"5\r\nabcdeXX")
    assert status(answer) == 400
    assert status(ask(fast_server.port, infer())) == 200
    assert not caplog.records


def test_too_large_is_refused_before_it_is_sent(server: Live) -> None:
    """The announced length suffices to refuse; the connection then ends."""
    with Client(server.port) as client:
        client.send(get(INFER, "Content-Length: 99999999999", method="POST"))
        answer = client.answer()
        assert status(answer) == 413
        assert b"connection: close\r\n" in answer
        client.socket.shutdown(1)
        assert client.is_closed()


@pytest.mark.parametrize("request_text", [post(INFER, bytes(8_000_000)), chunked(INFER, *[bytes(100_000)] * 80)])
def test_a_client_that_sends_all_the_same_reads_the_refusal(server: Live, request_text: bytes) -> None:
    """Who sends its eight megabytes before it reads anything gets the answer, and no broken connection."""
    answer = ask(server.port, request_text)

    assert status(answer) == 413
    assert b"send the tensors as binary data" in answer


def test_refusals_are_counted(server: Live) -> None:
    """The engine hears of what is refused before it is asked: model, version and reason."""
    server.engine.refused.clear()
    ask(server.port, post("/v2/models/affine/versions/1/infer", b"{"))
    ask(server.port, get(INFER, "Content-Length: 9999999", method="POST"))

    assert server.engine.refused == [("affine", "1", "invalid_request"), ("affine", None, "too_large")]


def test_the_engine_hears_of_the_smallest_timeout(server: Live) -> None:
    """Of the parameter in microseconds and the header in milliseconds the smaller one counts."""
    server.engine.requests.clear()
    for parameters, headers in (
        ({}, ()),
        ({"timeout": 0}, ("X-Request-Timeout-Ms: 0",)),
        ({"timeout": 2_000_000}, ()),
        ({"timeout": 2_000_000}, ("X-Request-Timeout-Ms: 3000",)),
        ({"timeout": 2_000_000}, ("X-Request-Timeout-Ms: 1000",)),
        ({"timeout": 0}, ("X-Request-Timeout-Ms: 1000",)),
    ):
        ask(server.port, infer(headers=headers, parameters=parameters))

    assert [request.timeout for request in server.engine.requests] == [None, None, 2.0, 2.0, 1.0, 1.0]


def test_readiness_is_the_engines(server: Live) -> None:
    """The ready routes say what the engine says: of the server in JSON, of a model by the status alone."""
    server.engine.is_ready = False
    try:
        for path, told in (("/v2/health/ready", b'{"ready":false}'), ("/v2/models/affine/ready", b"")):
            answer = ask(server.port, get(path))
            assert (400, told) == (status(answer), body(answer))
    finally:
        server.engine.is_ready = True


def test_a_client_that_goes_away_cancels(server: Live) -> None:
    """A request whose client closes the connection is cancelled, alone or behind another."""
    for request in (infer(path=NEVER), infer() + infer(path=NEVER)):
        server.engine.outcomes.clear()
        with Client(server.port) as client:
            client.send(request)
            eventually(lambda: any(exchange.request.model == "never" for exchange in server.engine.waiting))
        eventually(lambda: server.engine.outcomes["cancelled"] == 1)
    assert server.engine.waiting == []


def test_a_client_that_goes_away_half_way_reaches_nobody(server: Live) -> None:
    """A request that isn't complete when its client leaves never reaches the engine."""
    server.engine.requests.clear()
    with Client(server.port) as client:
        client.send(infer()[:-5])
    ask(server.port, infer(id="next"))

    assert [request.id for request in server.engine.requests] == ["next"]


@pytest.mark.parametrize("fast", [True, False])
def test_stopping_answers_what_is_under_way(fast: bool) -> None:
    """When the server stops, an accepted request gets its answer, is told that it was the last, and idle ones end."""
    with serve(fast=fast) as live, Client(live.port) as idle, Client(live.port) as busy:
        idle.send(infer())
        assert status(idle.answer()) == 200
        busy.send(infer(path=SLOW))
        eventually(lambda: live.engine.waiting)
        live.server.should_exit = True
        answer = busy.answer()
        assert status(answer) == 200
        assert b"connection: close\r\n" in answer
        assert busy.is_closed()
        assert idle.is_closed()


@pytest.mark.parametrize("request_text", [infer(), get("/v2")])
def test_idle_connections_end(hasty: Live, request_text: bytes) -> None:
    """A connection is closed when nothing came for the keep-alive time after an answer, and not before."""
    with Client(hasty.port) as client:
        for _ in range(3):
            client.send(request_text)
            client.answer()
            time.sleep(0.4)
        start = time.monotonic()
        assert client.is_closed()
        assert 0.4 < time.monotonic() - start < 3


@pytest.mark.parametrize(
    "sent",
    [b"P", infer()[:30], infer()[:-3], infer(headers=("Expect: 100-continue",))[:-3], chunked(INFER, b"{}")[:-3]],
    ids=["first byte", "headers", "body", "body through ASGI", "chunks"],
)
def test_slow_requests_are_refused(hasty: Live, sent: bytes) -> None:
    """A request that isn't complete in time is refused with 408, and the connection ends."""
    with Client(hasty.port) as client:
        client.send(sent)
        answer = client.answer()
        assert status(answer) == 408
        assert json.loads(body(answer))["reason"] == "request_timeout"
        client.socket.shutdown(1)
        assert client.is_closed()


def test_a_trickle_is_refused(hasty: Live) -> None:
    """The deadline is for the whole request: a byte now and then doesn't move it."""
    with Client(hasty.port) as client:
        for byte in infer()[:8]:
            client.send(bytes([byte]))
            time.sleep(0.05)
        assert status(client.answer()) == 408


def test_connections_that_say_nothing_end(hasty: Live) -> None:
    """Who connects and sends nothing is disconnected without an answer."""
    with Client(hasty.port) as client:
        assert client.is_closed()


def test_a_slow_answer_is_no_slow_request(hasty: Live) -> None:
    """The deadline for receiving doesn't run while the model computes, nor for a request that waits behind it."""
    with Client(hasty.port) as client:
        client.send(infer(path=SLOW) + infer(path=SLOW))
        assert [status(client.answer()) for _ in range(2)] == [200, 200]


def test_a_slow_second_request_doesnt_cost_the_first_its_answer(hasty: Live) -> None:
    """Behind a request that is under way, one that never becomes complete ends the connection after that answer."""
    with Client(hasty.port) as client:
        client.send(infer(path=SLOW) + infer()[:20])
        assert status(client.answer()) == 200
        assert client.is_closed()


@pytest.mark.parametrize(
    "request_text",
    [
        get("/v2", *[f"X-{index}: {'a' * 100}" for index in range(200)]),
        infer(headers=("X: " + "a" * 20000,)),
        get("/" + "a" * 20000),
        b"GET /v2 HTTP/1.1\r\nX: " + b"a" * 400_000,
        chunked(INFER, document(), trailer="X: " + "a" * 400_000),
    ],
    ids=["many", "long", "long path", "endless", "trailer"],
)
def test_large_headers_are_refused(fast_server: Live, request_text: bytes) -> None:
    """Headers, or trailers, beyond 16 KiB are refused with 431."""
    answer = ask(fast_server.port, request_text)

    assert status(answer) == 431
    assert json.loads(body(answer))["reason"] == "headers_too_large"


def test_large_headers_are_fine_below_the_limit(fast_server: Live) -> None:
    """15 KiB of headers pass, in one piece, in several, and before a large body."""
    request = infer(tensor([1.5] * 8000, shape=[8000]), headers=("X: " + "a" * 15000,))
    with Client(fast_server.port) as client:
        for step in (len(request), 5000, 700):
            for start in range(0, len(request), step):
                client.send(request[start : start + step])
            assert status(client.answer()) == 200


@pytest.mark.parametrize(
    "request_text",
    [
        b"NONSENSE\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        post(INFER, b"", "Content-Length: 7"),
        get("/\xff"),
        get("/", "a b: c"),
    ],
    ids=["nonsense", "TLS", "two lengths", "path", "header"],
)
def test_what_isnt_http_is_refused(fast_server: Live, request_text: bytes) -> None:
    """Bytes that are no HTTP request get a 400 in the usual shape, and the connection ends."""
    with Client(fast_server.port) as client:
        client.send(request_text)
        answer = client.answer()
        assert status(answer) == 400
        assert json.loads(body(answer))["reason"] == "invalid_request"
        client.socket.shutdown(1)
        assert client.is_closed()


def test_nonsense_doesnt_cost_an_earlier_request_its_answer(fast_server: Live) -> None:
    """Behind a request that is under way, nonsense ends the connection after that answer."""
    with Client(fast_server.port) as client:
        client.send(infer(path=SLOW) + b"NONSENSE\r\n\r\n")
        assert status(client.answer()) == 200
        assert client.is_closed()


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_offers_of_other_protocols_are_ignored(fast_server: Live, protocol: str) -> None:
    """A request that offers to change the protocol is answered as if it didn't, and the connection stays."""
    headers = (f"Upgrade: {protocol}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABk")
    with Client(fast_server.port) as client:
        for _ in range(2):
            client.send(infer(tensor([7, 0]), headers=headers))
            assert value(client.answer()) == 15
        client.send(get("/v2/health/live", *headers))
        assert status(client.answer()) == 200


def test_large_bodies_pass(server: Live) -> None:
    """Bodies that arrive in many pieces, and answers that leave in many, are whole."""
    numbers = list(range(9000))
    request = infer(tensor(numbers, shape=[9000]))
    with Client(server.port) as client:
        for step in (len(request), len(request) // 3, len(request) // 20):
            for start in range(0, len(request), step):
                client.send(request[start : start + step])
                time.sleep(0.002)
            assert json.loads(body(client.answer()))["outputs"][0]["data"] == [2.0 * n + 1 for n in numbers]


def test_a_client_that_doesnt_read_holds_up_nobody(server: Live) -> None:
    """While one client lets its answers pile up, others are served, and it gets all of them in the end."""
    request = infer(tensor([1.5] * 9000, shape=[9000]))
    with Client(server.port) as client:
        client.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 400:
                client.send(request)
                sent += 1
        except TimeoutError:
            pass
        client.socket.settimeout(10)
        assert status(ask(server.port, infer())) == 200
        for _ in range(sent):
            assert status(client.answer()) == 200


def test_limits_are_those_of_the_case_table() -> None:
    """The table's sizes are about the limits that the servers of these tests have."""
    assert (LIMITS.max_json_bytes, LIMITS.max_binary_bytes, LIMITS.max_header_bytes) == (65536, 262144, 16384)


def test_what_isnt_http_after_an_answer_ends_the_connection(fast_server: Live) -> None:
    """Nothing is answered after a refusal that closes, not even a request that was answered before."""
    with Client(fast_server.port) as client:
        client.send(infer())
        assert status(client.answer()) == 200
        client.send(b"\x16\x03")
        assert status(client.answer()) == 400
        client.send(infer())
        client.socket.shutdown(1)
        assert client.is_closed()


def test_a_connection_that_ended_is_forgotten() -> None:
    """Its memory is free at once, without the collector of cycles, whatever was sent on it and however it ended."""

    def kept() -> list[GuardedProtocol]:
        return [one for one in gc.get_objects() if issubclass(type(one), GuardedProtocol)]  # proxies have other classes

    with serve(fast=True) as live:
        gc.collect()
        gc.disable()
        try:
            before = len(kept())
            for request in (b"", infer(), get("/v2/health/live"), infer()[:-3], infer(path=NEVER), b"nonsense\r\n\r\n"):
                with Client(live.port) as client:
                    client.send(request)
                    if request == infer():
                        client.answer()
                    else:
                        time.sleep(0.05)  # it is read before the connection ends
            eventually(lambda: len(kept()) == before)
        finally:
            gc.enable()


def test_all_that_a_lost_connection_waits_for_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """Of several requests that went to ASGI one is answered after the other: those behind aren't begun any more."""
    with serve(fast=True) as live:
        with Client(live.port) as client:
            client.send(chunked(NEVER, document()) + chunked(SLOW, document()) + infer())
            eventually(lambda: live.server.server_state.tasks)
        eventually(lambda: not live.server.server_state.tasks)
    assert not caplog.records
