"""The generator sends on its own schedule, and accounts for every request."""

import asyncio

import numpy as np
import pytest

from service.client.connection import Connection, connect
from service.client.open_loop import Offer, OpenLoop
from service.client.outcome import Outcome
from tests.client.server import Reply, serving

REQUEST = b"POST /infer HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\nabc"


async def run(port: int, arrivals: list[float], *, most_in_flight: int = 100, patience: float = 5.0) -> Outcome:
    offer = Offer(
        host="127.0.0.1",
        port=port,
        requests=[REQUEST],
        arrivals=arrivals,
        seconds=1.0,
        most_in_flight=most_in_flight,
        patience=patience,
    )
    return await OpenLoop(offer).run()


async def test_every_request_is_accounted_for() -> None:
    """Each scheduled request is sent once, and ends with the status that it was answered with."""
    async with serving(lambda index: Reply(status=503 if index % 3 == 0 else 200)) as server:
        outcome = await run(server.port, [index / 1000 for index in range(90)])

    assert 90 == server.requests
    assert {"503": 30, "200": 60} == outcome.counts()
    assert not np.isnan(outcome.latencies).any()
    assert 90.0 == outcome.offered


async def test_a_stalled_answer_delays_no_other_request() -> None:
    """While answers are outstanding, further requests are sent all the same, over further connections."""
    async with serving(lambda _: Reply(after=0.3)) as server:
        outcome = await run(server.port, [0.0] * 80)

    assert 80 == server.most_at_once
    assert {"200": 80} == outcome.counts()


async def test_latency_counts_from_the_scheduled_time() -> None:
    """What the generator sends late is latency too."""
    async with serving(lambda _: Reply()) as server:
        loop = OpenLoop(
            Offer(host="127.0.0.1", port=server.port, requests=[REQUEST], arrivals=[0.0, 0.05], seconds=1.0)
        )
        outcome = await loop.run()

    assert (outcome.latencies >= outcome.lags).all()
    assert (outcome.lags >= 0).all()


async def test_a_server_that_is_slow_to_accept_is_no_fault_of_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that a connection takes is the server's: part of the latency, and of no lag."""

    async def slowly(host: str, port: int, *, tls: bool) -> Connection:
        await asyncio.sleep(0.3)
        return await connect(host, port, tls=tls)

    monkeypatch.setattr("service.client.open_loop.connect", slowly)
    async with serving(lambda _: Reply(after=0.05)) as server:
        offer = Offer(host="127.0.0.1", port=server.port, requests=[REQUEST], arrivals=[0.0] * 8, seconds=1.0, ready=2)
        outcome = await OpenLoop(offer).run()

    assert {"200": 8} == outcome.counts()
    assert 6 == (outcome.latencies >= 0.3).sum()
    assert (outcome.lags < 0.2).all()


async def test_requests_beyond_the_bound_are_skipped_and_counted() -> None:
    """With as many in flight as may be, a request isn't sent; it is counted, not postponed."""
    async with serving(lambda _: Reply(after=0.2)) as server:
        outcome = await run(server.port, [0.0, 0.0, 0.0, 0.001, 0.002], most_in_flight=3)

    assert 3 == server.requests
    assert {"200": 3, "skipped": 2} == outcome.counts()
    assert [True] * 2 == np.isnan(outcome.latencies[3:]).tolist()


async def test_connections_are_used_again() -> None:
    """One request after the other needs no further connection than those opened at the start."""
    async with serving(lambda _: Reply()) as server:
        outcome = await run(server.port, [index / 50 for index in range(20)], most_in_flight=2)

    assert 2 == server.connections
    assert server.requests == outcome.count((200,)) > 0


async def test_a_closed_connection_is_replaced() -> None:
    """A server that closes after an answer costs a connection, not a request."""
    async with serving(lambda _: Reply(headers=b"Connection: close\r\n")) as server:
        outcome = await run(server.port, [index / 100 for index in range(10)], most_in_flight=2)

    assert {"200": 10} == outcome.counts()
    assert 10 <= server.connections


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"hello\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_broken_answers_are_counted(raw: bytes) -> None:
    """A connection that ends early, or answers what isn't HTTP with a length, is a broken request and no hang."""
    async with serving(lambda index: Reply(raw=raw) if index == 1 else Reply()) as server:
        outcome = await run(server.port, [0.0, 0.01, 0.02])

    assert {"200": 2, "broken": 1} == outcome.counts()


async def test_what_isnt_answered_in_time_is_counted() -> None:
    """After the patience is over the outcome says how many have no answer."""
    async with serving(lambda index: Reply(after=60.0 if index == 0 else 0.0)) as server:
        outcome = await run(server.port, [0.0, 0.01], patience=0.1)

    assert {"200": 1, "unanswered": 1} == outcome.counts()


async def test_nobody_listens() -> None:
    """A server that isn't there is an error before anything is sent."""
    async with serving(lambda _: Reply()) as server:
        port = server.port
    with pytest.raises(OSError):
        await run(port, [0.0])
