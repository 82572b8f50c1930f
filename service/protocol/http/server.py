"""The HTTP server: how it begins and ends is the composition root's business."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

_TELL_SECONDS = 0.05


class HttpServer(uvicorn.Server):
    """uvicorn, except that it leaves signals alone and sees every connection answered."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let every connection answer what it was sent, those included that were accepted just before the end."""
        telling = asyncio.create_task(self._tell_connections())
        try:
            await super().shutdown(sockets)
        finally:
            telling.cancel()

    async def _tell_connections(self) -> None:
        while True:
            for connection in list(self.server_state.connections):
                connection.shutdown()
            await asyncio.sleep(_TELL_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers alone."""
        yield
