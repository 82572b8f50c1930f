"""Requests that arrive in one turn of the event loop, taken one after the other once all of them have been read.

Reading from sockets and taking requests are each a long way through much code. Done in turns for every request, each
finds the processor's caches full of the other's; done in two rows, a loaded server gains some percent.
"""

import asyncio
from typing import Protocol


class Arrival(Protocol):
    """Somebody who has a whole request."""

    def take(self) -> None:
        """Hand it to the engine now. Never raises."""


class Arrivals:
    """Owns who waits for the end of this turn of the loop."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Arrival] = []

    def add(self, arrival: Arrival, loop: asyncio.AbstractEventLoop) -> None:
        """Its `take` is called later in this turn, after those that were added before."""
        if not self._waiting:
            loop.call_soon(self._take_all)
        self._waiting.append(arrival)

    def _take_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        for arrival in waiting:
            arrival.take()
