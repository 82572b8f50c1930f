"""The cheapest server there can be: it answers every POST with 503. `python -m loadtests.overload.refusing PORT`.

While a generator offers it the requests that are beyond a service's capacity, the service's own throughput beside it is
what the machine has left for it: nobody could refuse for less.
"""

import asyncio
import sys

import uvloop

from loadtests.bare import BareProtocol, serve

_BODY = b'{"error":"refused","reason":"deadline_infeasible"}'
_HEAD = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nretry-after: 1\r\ncontent-length: %d\r\n\r\n"
_REFUSAL = _HEAD % (b"503 Service Unavailable", len(_BODY)) + _BODY
_READY = _HEAD % (b"200 OK", 0)


class Refusing(BareProtocol):
    """Answers a GET with 200, so that it can be waited for, any other request with 503."""

    def request(self, *, is_get: bool) -> None:
        """See `BareProtocol`."""
        self.transport.write(_READY if is_get else _REFUSAL)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Refusing, int(sys.argv[1])))
