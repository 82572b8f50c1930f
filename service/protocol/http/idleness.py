"""When a connection on which nothing happens is closed."""

import asyncio
from collections.abc import Callable

LAST_CALL = 0.5
"""Seconds in which an idle connection may still send a request after the server was told to stop."""


class Idleness:
    """Owns the keep-alive timer of one connection.

    The timer isn't moved at every request, which would cost more than the rest of a connection's life: it may come too
    early, and is then set again for what is left.
    """

    __slots__ = ("_close", "_is_idle", "_loop", "_seconds", "_since", "_timer")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, is_idle: Callable[[], bool], close: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._is_idle = is_idle
        self._close = close
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """An answer went out: from now on nothing happens."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def last_call(self) -> None:
        """The server stops: close after LAST_CALL seconds, unless a request is under way then."""
        self._stop()
        self._seconds = min(self._seconds, LAST_CALL)
        self.begin()

    def end(self) -> None:
        """The connection has ended, and isn't referred to from here any more (see `GuardedProtocol`)."""
        self._stop()
        del self._is_idle, self._close

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self._is_idle():
            return  # its answer sets the timer again
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._close()
