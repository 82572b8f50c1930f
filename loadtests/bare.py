"""The cheapest HTTP there can be: where a request ends, and nothing else of it."""

import asyncio
import re
from abc import ABC, abstractmethod
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class BareProtocol(ABC, asyncio.Protocol):
    """Owns what a connection has sent of a request so far. A subclass answers in `request`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's don't descend from it
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Hand on each request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            is_get = self._received.startswith(b"GET ")
            self._received = self._received[whole:]
            self.request(is_get=is_get)

    @abstractmethod
    def request(self, *, is_get: bool) -> None:
        """A request is complete; a GET asks whether the server is ready."""


async def serve(protocol: type[BareProtocol], port: int) -> None:
    """Until ended."""
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port)
    await server.serve_forever()
