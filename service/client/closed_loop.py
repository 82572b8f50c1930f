"""A closed loop: so many clients, each of which sends again when it has its answer."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import uvloop

from service.client.connection import BROKEN, Connection, connect
from service.client.outcome import UNANSWERED, Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """`requests`, as the bytes that go over the wire, in turn, from so many `clients` at once.

    No more are sent after `seconds`, or when there were `most`; `patience` is how many seconds longer answers are
    waited for.
    """

    host: str
    port: int
    requests: Sequence[bytes]
    clients: int
    seconds: float
    most: int = 1_000_000
    patience: float = 5.0
    tls: bool = False


def demand(what: Demand) -> Outcome:
    """Make the demand on an event loop of its own. Raises OSError when nobody listens there at the start."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(ClosedLoop(what).run())


class ClosedLoop:
    """Owns the connections, one a client, and what became of each request."""

    def __init__(self, what: Demand) -> None:
        self._demand = what
        self._connections: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._statuses: list[int] = []
        self._latencies: list[float] = []
        self._clients = what.clients
        self._all_gone = asyncio.Event()
        self._zero = self._latest = 0.0

    async def run(self) -> Outcome:
        """Send until the time is over, wait for what is answered in time, and close."""
        first = await asyncio.gather(*(self._open() for _ in range(self._demand.clients)))
        self._zero = self._latest = time.perf_counter()
        for connection in first:
            self._send(connection)
        try:
            async with asyncio.timeout(self._demand.seconds + self._demand.patience):
                await self._all_gone.wait()
        except TimeoutError:
            self._latest = time.perf_counter()  # who waits for an answer that doesn't come uses the time up
        outcome = Outcome(
            seconds=max(self._latest - self._zero, 1e-9),
            statuses=np.array(self._statuses, np.int16),
            latencies=np.array(self._latencies),
            lags=np.zeros(len(self._statuses)),
        )
        for task in self._opening:
            task.cancel()
        for connection in self._connections:
            connection.close()
        return outcome

    def _send(self, connection: Connection) -> None:
        """The next request of this client, unless there is to be none."""
        if self._is_over():
            self._leave()
            return
        begun, index = time.perf_counter(), len(self._statuses)
        self._statuses.append(UNANSWERED)
        self._latencies.append(float("nan"))

        def done(answered: Connection, status: int) -> None:
            self._latest = time.perf_counter()
            self._latencies[index] = self._latest - begun
            self._statuses[index] = status
            if answered.usable or self._is_over():
                self._send(answered)
            else:
                self._connections.discard(answered)
                task = asyncio.get_running_loop().create_task(self._come_back())
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)

        connection.send(self._demand.requests[index % len(self._demand.requests)], done)

    async def _open(self) -> Connection:
        connection = await connect(self._demand.host, self._demand.port, tls=self._demand.tls)
        self._connections.add(connection)
        return connection

    async def _come_back(self) -> None:
        """A client whose connection was closed opens another; where nobody listens any more it is gone."""
        try:
            connection = await self._open()
        except OSError:
            self._statuses.append(BROKEN)
            self._latencies.append(float("nan"))
            self._leave()
            return
        self._send(connection)

    def _is_over(self) -> bool:
        is_late = time.perf_counter() - self._zero >= self._demand.seconds
        return is_late or len(self._statuses) >= self._demand.most

    def _leave(self) -> None:
        self._clients -= 1
        if not self._clients:
            self._all_gone.set()
