"""Clients that wait for their answers: how many there are, when they end, and that every request is accounted for."""

import numpy as np
import pytest

from service.client.closed_loop import ClosedLoop, Demand
from service.client.outcome import Outcome
from tests.client.server import Reply, serving

BODIES = (b"abc", b"xyz")
REQUESTS = [b"POST /infer HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\n" + body for body in BODIES]


async def run(port: int, *, clients: int = 2, seconds: float = 60.0, most: int = 50, patience: float = 5.0) -> Outcome:
    what = Demand(
        host="127.0.0.1",
        port=port,
        requests=REQUESTS,
        clients=clients,
        seconds=seconds,
        most=most,
        patience=patience,
    )
    return await ClosedLoop(what).run()


async def test_every_request_is_accounted_for() -> None:
    """No more are sent than wanted, in turn from all bodies, and each ends with the status of its answer."""
    async with serving(lambda index: Reply(status=503 if index % 5 == 0 else 200)) as server:
        outcome = await run(server.port)

    assert 50 == server.requests
    assert {"503": 10, "200": 40} == outcome.counts()
    assert set(BODIES) == server.bodies
    assert (outcome.latencies > 0).all()
    assert 0 == outcome.lag(100)


async def test_as_many_are_under_way_as_there_are_clients() -> None:
    """Each on a connection of its own, never more."""
    async with serving(lambda _: Reply(after=0.1)) as server:
        await run(server.port, clients=7, most=14)

    assert (7, 7) == (server.most_at_once, server.connections)


async def test_throughput_is_what_was_answered_in_the_time() -> None:
    """The time ends with the last answer, so answers that take a tenth of a second come ten times a second a client."""
    async with serving(lambda _: Reply(after=0.1)) as server:
        outcome = await run(server.port, clients=3, seconds=0.35)

    assert len(outcome.statuses) == server.requests
    assert 0.35 <= outcome.seconds
    assert outcome.offered == pytest.approx(len(outcome.statuses) / outcome.seconds)
    assert outcome.offered < 30.1


async def test_a_closed_connection_is_replaced() -> None:
    """By another of the same client; a broken answer is counted."""
    async with serving(
        lambda index: Reply(raw=b"") if index == 3 else Reply(headers=b"Connection: close\r\n")
    ) as server:
        outcome = await run(server.port, most=10)

    assert {"200": 9, "broken": 1} == outcome.counts()


async def test_what_isnt_answered_in_time_is_counted() -> None:
    """A client whose answer doesn't come sends no further request, and uses up the time."""
    async with serving(lambda index: Reply(after=60.0 if index == 0 else 0.0)) as server:
        outcome = await run(server.port, seconds=0.1, most=10_000, patience=0.1)

    assert 1 == outcome.counts()["unanswered"]
    assert 1 == np.isnan(outcome.latencies).sum()
    assert outcome.seconds >= 0.2


async def test_a_server_that_goes_away_is_no_hang() -> None:
    """Clients that can't connect any more are gone, each with a broken request."""
    async with serving(lambda _: Reply(headers=b"Connection: close\r\n")) as server:
        loop = ClosedLoop(
            Demand(host="127.0.0.1", port=server.port, requests=REQUESTS, clients=2, seconds=60.0, most=10_000)
        )
        first = await loop._open()
        first.close()
        port = server.port
    with pytest.raises(OSError):
        await run(port)
    loop._clients = 1
    await loop._come_back()

    assert loop._all_gone.is_set()
    assert [0] == loop._statuses
