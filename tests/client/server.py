"""A tiny HTTP server for the generator: it answers as the test says, after as long as the test says."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a request is answered with; `raw` in place of HTTP, and then the connection is closed."""

    status: int = 200
    after: float = 0.0
    headers: bytes = b""
    raw: bytes | None = None


class Server:
    """Owns the listener; counts connections, and requests in all and at once; keeps different bodies."""

    def __init__(self, reply: Callable[[int], Reply]) -> None:
        self._reply = reply
        self.connections = self.requests = self.at_once = self.most_at_once = 0
        self.bodies: set[bytes] = set()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = _LENGTH.search(head)
                assert length is not None
                self.bodies.add(await reader.readexactly(int(length[1])))
                reply = self._reply(self.requests)
                self.requests += 1
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await asyncio.sleep(reply.after)
                self.at_once -= 1
                if reply.raw is not None:
                    writer.write(reply.raw)
                    return
                answer = b"HTTP/1.1 %d Fine\r\n%bContent-Length: 2\r\n\r\nok" % (reply.status, reply.headers)
                for piece in (answer[:20], answer[20:-1], answer[-1:]):  # in pieces, as a network may
                    writer.write(piece)
                    await writer.drain()
                if b"close" in reply.headers:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(reply: Callable[[int], Reply]) -> AsyncIterator[Server]:
    """A server while the block runs; `reply` is asked with the number of each request, from 0."""
    server = Server(reply)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
