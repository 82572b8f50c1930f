"""The generator: sends each request at its scheduled time, whatever became of the ones before."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import uvloop

from service.client.connection import BROKEN, Connection, connect
from service.client.outcome import SKIPPED, UNANSWERED, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """`requests`, as the bytes that go over the wire, in turn, at `arrivals` (seconds from the start, ascending).

    With `most_in_flight` of them unanswered, further ones are skipped and counted. `patience` is how many seconds after
    the last arrival answers are waited for. `ready` connections are opened before the first request is due, further
    ones when all are busy: many at once may be more than the server's queue of them takes, and cost a second each.
    """

    host: str
    port: int
    requests: Sequence[bytes]
    arrivals: Sequence[float]
    seconds: float
    most_in_flight: int = 4096
    patience: float = 5.0
    ready: int = 64
    tls: bool = False


def offer(what: Offer) -> Outcome:
    """Make the offer on an event loop of its own. Raises OSError when nobody listens there at the start."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(OpenLoop(what).run())


class OpenLoop:
    """Owns the connections, which of them are idle, and what became of each request."""

    def __init__(self, what: Offer) -> None:
        self._offer = what
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._next = 0
        self._statuses = np.full(len(what.arrivals), UNANSWERED, np.int16)
        self._latencies = np.full(len(what.arrivals), np.nan)
        self._lags = np.full(len(what.arrivals), np.nan)
        self._all_sent = asyncio.Event()
        self._quiet = asyncio.Event()
        self._zero = 0.0

    async def run(self) -> Outcome:
        """Send everything, wait for what is answered in time, and close."""
        first = await asyncio.gather(*(self._open() for _ in range(min(self._offer.ready, self._offer.most_in_flight))))
        self._idle.extend(first)
        self._zero = time.perf_counter()
        self._tick()
        await self._all_sent.wait()
        try:
            async with asyncio.timeout(self._offer.patience):
                await self._quiet.wait()
        except TimeoutError:
            pass  # they stay UNANSWERED
        outcome = Outcome(
            seconds=self._offer.seconds,
            statuses=self._statuses.copy(),
            latencies=self._latencies.copy(),
            lags=self._lags.copy(),
        )
        for task in self._opening:
            task.cancel()
        for connection in self._all:
            connection.close()
        return outcome

    def _tick(self) -> None:
        """Send what is due, and come back when the next one is."""
        arrivals = self._offer.arrivals
        while self._next < len(arrivals):
            wait = arrivals[self._next] - (time.perf_counter() - self._zero)
            if wait > 0:
                # The loop's timers count milliseconds: rounded up, or it would come back early and spin.
                asyncio.get_running_loop().call_later(math.ceil(wait * 1000) / 1000, self._tick)
                return
            self._dispatch(self._next)
            self._next += 1
        self._all_sent.set()
        self._settle()

    def _dispatch(self, index: int) -> None:
        self._lags[index] = time.perf_counter() - self._due(index)
        if self._in_flight >= self._offer.most_in_flight:
            self._statuses[index] = SKIPPED
            return
        self._in_flight += 1
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                self._send(connection, index)
                return
            self._all.discard(connection)
        task = asyncio.get_running_loop().create_task(self._open_for(index))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def _send(self, connection: Connection, index: int) -> None:
        def done(answered: Connection, status: int) -> None:
            self._latencies[index] = time.perf_counter() - self._due(index)
            self._ended(index, status)
            if answered.usable:
                self._idle.append(answered)
            else:
                self._all.discard(answered)

        connection.send(self._offer.requests[index % len(self._offer.requests)], done)

    def _due(self, index: int) -> float:
        return self._zero + self._offer.arrivals[index]

    async def _open(self) -> Connection:
        connection = await connect(self._offer.host, self._offer.port, tls=self._offer.tls)
        self._all.add(connection)
        return connection

    async def _open_for(self, index: int) -> None:
        """Every connection is busy: one more, for this request."""
        try:
            connection = await self._open()
        except OSError:
            self._ended(index, BROKEN)
            return
        self._send(connection, index)

    def _ended(self, index: int, status: int) -> None:
        self._statuses[index] = status
        self._in_flight -= 1
        self._settle()

    def _settle(self) -> None:
        if self._all_sent.is_set() and self._in_flight == 0:
            self._quiet.set()
