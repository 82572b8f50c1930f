"""Deadlines, watched with a single timer however many requests wait."""

import asyncio
import time
from collections.abc import Callable, Iterable

from service.engine.exchange import Exchange
from service.errors import DeadlineExceeded


class Expiry:
    """Owns the timer for the tightest deadline, which is `next`. Any later deadline costs one comparison."""

    def __init__(self, unfinished: Callable[[], Iterable[Exchange]]) -> None:
        self._unfinished = unfinished
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.next = float("inf")

    def watch(self, deadline: float) -> None:
        """See to it that nothing outlives `deadline` (`time.monotonic()` seconds) unanswered."""
        if deadline < self.next:
            self.stop()
            self.next = deadline
            self._timer = self._loop.call_later(max(deadline - time.monotonic(), 0.0), self._sweep)

    def stop(self) -> None:
        """Watch nothing."""
        if self._timer:
            self._timer.cancel()
        self.next = float("inf")

    def _sweep(self) -> None:
        self.next = float("inf")
        now = time.monotonic()
        left: list[float] = []
        for exchange in list(self._unfinished()):
            if exchange.deadline <= now:
                exchange.fail(DeadlineExceeded(f"not finished within {exchange.deadline - exchange.admitted:.3g} s"))
            else:
                left.append(exchange.deadline)
        if left:
            self.watch(min(left))
