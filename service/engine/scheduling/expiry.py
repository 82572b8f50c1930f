"""Deadlines and queue timeouts, watched with a single timer however many requests wait."""

import asyncio
import time
from collections.abc import Callable, Iterable

from service.engine.exchange import Exchange


class Expiry:
    """Owns the timer for the tightest moment, which is `next`. Any later one costs a comparison.

    At that moment `overdue` is called for each of `unfinished`; it ends those whose time has come, and says of each
    when to look at it again, infinity for never.
    """

    def __init__(
        self, unfinished: Callable[[], Iterable[Exchange]], overdue: Callable[[Exchange, float], float]
    ) -> None:
        self._unfinished = unfinished
        self._overdue = overdue
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.next = float("inf")

    def watch(self, moment: float) -> None:
        """See to it that nothing outlives `moment` (`time.monotonic()` seconds) unnoticed."""
        if moment < self.next:
            self.stop()
            self.next = moment
            self._timer = self._loop.call_later(max(moment - time.monotonic(), 0.0), self._sweep)

    def stop(self) -> None:
        """Watch nothing."""
        if self._timer:
            self._timer.cancel()
        self.next = float("inf")

    def _sweep(self) -> None:
        self.next = float("inf")
        now = time.monotonic()
        self.watch(min([self._overdue(exchange, now) for exchange in list(self._unfinished())], default=self.next))
