"""The clock and the byte count of a request that arrives in pieces."""

import asyncio
from collections.abc import Callable, Sequence


class Reception:
    """Owns what uvicorn doesn't have: a deadline for receiving a request, and a bound on its headers.

    httptools collects headers (and the trailers of a chunked body) without limit, and says nothing of them before they
    are complete. So it is counted here how much has arrived since the last piece of a body: all of that can only be
    headers, trailers or chunk extensions. A request that arrives in one piece costs nothing of this.
    """

    __slots__ = ("_expired", "_loop", "_quiet", "_seconds", "_timer", "got_body", "limit")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, limit: int, expired: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._expired = expired
        self._timer: asyncio.TimerHandle | None = None
        self._quiet = 0
        self.limit = limit
        self.got_body = False

    def start(self) -> None:
        """Set the clock, unless it runs already."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._expire)

    def stop(self) -> None:
        """The request is complete, or none is expected any more."""
        self._quiet = 0
        self.got_body = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """The connection has ended, and isn't referred to from here any more (see `GuardedProtocol`)."""
        self.stop()
        del self._expired

    def may_exceed(self, received: int) -> bool:
        """Whether headers that were complete within the last `received` bytes can be larger than the limit at all."""
        return self._quiet + received > self.limit

    def wait(self, received: int, head_size: int | None) -> bool:
        """Note that `received` more bytes didn't complete the request. False when its headers are too large.

        `head_size` is the size of the headers so far, while they are incomplete. The piece in which a request begins
        may hold the end of the one before, so that only what was parsed of it counts.
        """
        self.start()
        if self.got_body:
            self.got_body = False
            self._quiet = 0
        elif self._quiet or head_size is None:
            self._quiet += received
        else:
            self._quiet = 1 + head_size
        return self._quiet <= self.limit

    def _expire(self) -> None:
        self._timer = None
        self._expired()


def head_size(url: bytes, headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Bytes that a request's target and headers take on the wire, about."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)
