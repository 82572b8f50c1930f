"""One keep-alive HTTP/1.1 connection that carries one request at a time."""

import asyncio
import re
import ssl
from collections.abc import Callable
from functools import cache
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
BROKEN = 0
"""In place of a status: the connection ended, or said what isn't HTTP, before the answer was there."""


async def connect(host: str, port: int, *, tls: bool) -> "Connection":
    """A new one; over TLS the server's certificate has to be one that the system trusts. Raises OSError."""
    context = _trusting() if tls else None
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port, ssl=context)
    return connection


@cache
def _trusting() -> ssl.SSLContext:
    return ssl.create_default_context()


class Connection(asyncio.Protocol):
    """Owns the transport, and the answer that is being received."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._expected: int | None = None
        self._status = BROKEN
        self._last = False
        self._done: Callable[[Connection, int], None] | None = None

    @property
    def usable(self) -> bool:
        """True while another request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, done: Callable[["Connection", int], None]) -> None:
        """Send a whole request. `done` is called once, with the answer's status or BROKEN."""
        self._done = done
        if self._transport is None or self._transport.is_closing():
            self._finish(BROKEN)
        else:
            self._transport.write(request)

    def close(self) -> None:
        """Close; a request that is on its way ends as BROKEN."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's don't descend from it

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._received += data
        if self._expected is None and not self._read_head():
            return
        if self._expected is not None and len(self._received) >= self._expected:
            self._finish(self._status)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """See asyncio."""
        self._transport = None
        self._finish(BROKEN)

    def _read_head(self) -> bool:
        """True once the head is there; the answer's length is known then."""
        end = self._received.find(_HEAD_END)
        if end < 0:
            return False
        head = bytes(self._received[:end])
        length = _LENGTH.search(head)
        if not head.startswith(b"HTTP/1.1 ") or not head[9:12].isdigit() or length is None:
            self.close()
            self._finish(BROKEN)
            return False
        self._status = int(head[9:12])
        self._expected = end + len(_HEAD_END) + int(length[1])
        self._last = _CLOSE.search(head) is not None
        return True

    def _finish(self, status: int) -> None:
        self._received.clear()
        self._expected = None
        done, self._done = self._done, None
        if done is not None:
            if status != BROKEN and self._last:
                self.close()
            done(self, status)
