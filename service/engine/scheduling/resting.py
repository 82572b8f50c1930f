"""Sequences of which nobody waits: whether they go on is waited for a while."""

import asyncio
import time
from collections.abc import Callable

from service.engine.request_sequence import RequestSequence


class Resting:
    """Owns since when which sequences rest. One that has rested for `seconds` is handed to `leave`."""

    def __init__(self, seconds: float, leave: Callable[[RequestSequence], None]) -> None:
        self._seconds = seconds
        self._leave = leave
        self._since: dict[RequestSequence, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def add(self, sequence: RequestSequence) -> None:
        """It rests from now on."""
        self._since[sequence] = time.monotonic()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def remove(self, sequence: RequestSequence) -> None:
        """It goes on, or is over."""
        self._since.pop(sequence, None)

    def stop(self) -> None:
        """Watch nothing."""
        if self._timer:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer, now = None, time.monotonic()
        for sequence, since in list(self._since.items()):
            if since + self._seconds > now:
                self._timer = self._loop.call_later(since + self._seconds - now, self._look)
                return
            self._leave(sequence)
