"""How late the event loop comes to what is due: what every request of every model waits for."""

import asyncio
import time

from service.histogram import Histogram

PERIOD = 0.25
"""Seconds between two looks."""


class EventLoopLag:
    """Owns the timer, and tells `histogram` by how many seconds the loop was late for it, each PERIOD anew."""

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._due = 0.0

    def start(self) -> None:
        """Look for as long as the running loop runs."""
        self._due = time.monotonic() + PERIOD
        asyncio.get_running_loop().call_later(PERIOD, self._look)

    def overdue(self) -> float:
        """Seconds by which the loop is late for the look that is due, 0 while none is; from any thread."""
        return max(time.monotonic() - self._due, 0.0) if self._due else 0.0

    def _look(self) -> None:
        self._histogram.observe(max(time.monotonic() - self._due, 0.0))
        self.start()
