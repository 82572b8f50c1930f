"""The rest of a large body, received straight into the memory that it is kept in.

Through the parser each byte is copied three times more: into a piece, out of the piece, and into the whole. For a
picture of 600 KB that costs as much as all else that the front does for it.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

LARGE = 128 * 1024
"""Bytes that are still to come from which on this pays."""


class Connection(Protocol):
    """The protocol whose place is taken meanwhile: it hears of everything but the bytes."""

    def body_received(self, body: bytearray) -> None:
        """The body is complete. Called once, unless the connection is lost before."""

    def connection_lost(self, exc: Exception | None) -> None:
        """As in asyncio."""

    def eof_received(self) -> None:
        """As in asyncio."""

    def pause_writing(self) -> None:
        """As in asyncio."""

    def resume_writing(self) -> None:
        """As in asyncio."""


class LargeBody(asyncio.BufferedProtocol):
    """Owns a body of `length` bytes while it arrives; the `begun` parts of it, which are fewer, have come already."""

    def __init__(self, connection: Connection, begun: Sequence[bytes], length: int) -> None:
        self._connection = connection
        self._body = bytearray(length)
        self._view = memoryview(self._body)
        self._filled = 0
        for part in begun:
            self._view[self._filled : self._filled + len(part)] = part
            self._filled += len(part)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: never beyond the body, so that what follows it is left for the parser."""
        del sizehint
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """So many have come."""
        self._filled += nbytes
        if self._filled == len(self._body):
            self._view.release()
            body, self._body = self._body, bytearray()  # the transport goes on to know this protocol's methods
            self._connection.body_received(body)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `Connection`."""
        self._connection.connection_lost(exc)

    def eof_received(self) -> None:
        """See `Connection`."""
        self._connection.eof_received()

    def pause_writing(self) -> None:
        """See `Connection`."""
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        """See `Connection`."""
        self._connection.resume_writing()
