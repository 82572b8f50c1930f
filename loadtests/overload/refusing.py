"""The cheapest server there can be: it answers every POST with 503. `python -m loadtests.overload.refusing PORT`.

While a generator offers it the requests that are beyond a service's capacity, the service's own throughput beside it is
what the machine has left for it: nobody could refuse for less.
"""

import asyncio
import re
import sys
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BODY = b'{"error":"refused","reason":"deadline_infeasible"}'
_HEAD = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n"
_REFUSAL = _HEAD % (b"503 Service Unavailable", len(_BODY)) + _BODY
_READY = _HEAD % (b"200 OK", 0)


class Refusing(asyncio.Protocol):
    """Owns what a connection has sent of a request so far."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's don't descend from it
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete: a GET with 200, so that it can be waited for, any other with 503."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            self._transport.write(_READY if self._received.startswith(b"GET ") else _REFUSAL)
            self._received = self._received[whole:]


async def serve(port: int) -> None:
    """Until ended."""
    server = await asyncio.get_running_loop().create_server(Refusing, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
