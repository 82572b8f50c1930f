"""wrk sends what it is told, and its report is read right."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from loadtests import wrk
from loadtests.request import Request
from tests.client.server import Reply, Server

REQUEST = Request(path="/infer", body=bytes(range(256)) * 5 + b"]==]\r\n\\n", headers={"X-Quoted": 'a"b\\'})


@contextmanager
def serving(reply: Callable[[int], Reply]) -> Iterator[Server]:
    """A server with a loop and thread of its own, since wrk is waited for."""
    server = Server(reply)
    loop = asyncio.new_event_loop()
    listener = loop.run_until_complete(asyncio.start_server(server.serve, "127.0.0.1", 0))
    server.port = listener.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        listener.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


@pytest.mark.parametrize("slow", [False, True])
def test_bodies_arrive_as_they_are(require_tool: Callable[[str], str], slow: bool) -> None:
    """Any bytes can be a body; the answers are counted, and their rate is told either way."""
    require_tool("wrk")
    with serving(lambda _: Reply()) as server:
        load = wrk.run(f"http://127.0.0.1:{server.port}", REQUEST, connections=2, seconds=1, slow=slow)

    assert {REQUEST.body} == server.bodies
    assert 0 < load.requests <= server.requests
    assert 1 / 3 < load.throughput / (load.requests / load.seconds) < 3  # a busy machine has pauses
    assert load.p50_ms <= load.p99_ms


def test_refused_requests_are_an_error_unless_they_are_counted(require_tool: Callable[[str], str]) -> None:
    """A status other than 200 fails the run; where refusals may be, they don't count as answered."""
    require_tool("wrk")
    with serving(lambda index: Reply(status=503 if index % 2 else 200)) as server:
        url = f"http://127.0.0.1:{server.port}"
        load = wrk.run(url, REQUEST, connections=1, seconds=1, refusals=True)
        with pytest.raises(wrk.WrkError, match="requests were refused"):
            wrk.run(url, REQUEST, connections=1, seconds=1)

    assert abs(load.requests - load.refused) <= 1


def test_a_server_that_answers_nothing_is_an_error_that_says_so(require_tool: Callable[[str], str]) -> None:
    """No connection broke and nothing was refused: what is wrong is that no answer came in time."""
    require_tool("wrk")
    with (
        serving(lambda _: Reply(after=30.0)) as server,
        pytest.raises(wrk.WrkError, match="no request was answered in 1 s, 0 were refused"),
    ):
        wrk.run(f"http://127.0.0.1:{server.port}", REQUEST, connections=1, seconds=1)
