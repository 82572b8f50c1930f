"""The request that the fast entrance has under way on a connection."""

from collections.abc import Callable, Mapping, Sequence

from service.engine.exchange import Exchange
from service.protocol.binary import Body
from service.protocol.http.head import JSON_LENGTH
from service.protocol.http.infer_door import InferDoor, Route
from service.protocol.http.known_heads import KnownHead, KnownHeads
from service.protocol.http.reply import Reply
from service.protocol.http.wanted import ALL_JSON


class FastCycle:
    """Stands where uvicorn keeps its `RequestResponseCycle`, and serves one request of its connection after another.

    uvicorn reads `response_complete` (may the next request start, may the connection be closed?) and sets `keep_alive`
    to false when it stops. `route` is None unless the body of a fast request is being received.
    """

    __slots__ = (
        "_body",
        "_door",
        "_exchange",
        "_fields",
        "_known",
        "_parts",
        "keep_alive",
        "missing",
        "reply",
        "response_complete",
        "route",
    )

    def __init__(self, door: InferDoor, deliver: Callable[[], None]) -> None:
        self._body: Body = b""
        self._door = door
        self._exchange: Exchange | None = None
        self._fields: Mapping[bytes, bytes] = {}
        self._parts: list[bytes] = []
        self.keep_alive = True
        self._known: KnownHead | None = None
        self.missing = 0  # bytes of a binary body that are still to come
        self.reply = Reply(deliver, door.limits.max_json_bytes)
        self.response_complete = True
        self.route: Route | None = None

    def begin(self, route: Route, fields: Mapping[bytes, bytes], keep_alive: bool, length: int) -> None:
        """A request whose headers are complete, with a body of so many bytes."""
        self.route = route
        self._fields = fields
        self.keep_alive = keep_alive
        self.response_complete = False
        self.missing = length if JSON_LENGTH in fields else 0  # JSON is always read in pieces

    def learn(self, piece: bytes, heads: KnownHeads) -> None:
        """The request is complete: remember its headers, if it came in `piece` and can come again."""
        if piece and self.keep_alive and self.route is not None:
            heads.learn(piece, sum(map(len, self._parts)), self.route, self._fields)

    def receive(self, part: bytes) -> None:
        """A piece of its body."""
        self._parts.append(part)
        self.missing -= len(part)

    def unfinished(self) -> tuple[Sequence[bytes], int]:
        """The parts of its body that have come, and how long all of it is."""
        parts, self._parts = self._parts, []
        length = self.missing + sum(map(len, parts))
        self.missing = 0
        return parts, length

    def submit(self, body: Body | None = None) -> None:
        """The body is complete: hand the request to the engine, or deliver the refusal at once."""
        parts = self._parts
        route = self.route
        assert route is not None
        if body is None:
            body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.route = None
        self.missing = 0
        self._exchange = self._door.submit(route, self._fields, body, self.reply)
        if self._exchange is None:
            self.reply.deliver()

    def repeat(self, known: KnownHead, body: Body) -> None:
        """A whole request that differs from an earlier one in its body only; `take` is to follow."""
        self.keep_alive = True
        self.response_complete = False
        self._known = known
        self._body = body

    def take(self) -> None:
        """Hand that request to the engine, unless it was abandoned meanwhile."""
        known, body = self._known, self._body
        self._body = b""
        if known is None or self.response_complete:
            return
        self._exchange = self._door.take(known.route, known.head, body, self.reply)
        if self._exchange is None:
            self.reply.deliver()

    def forget(self) -> None:
        """The answer is written: nothing of it, nor of the request, is kept while the connection is idle."""
        self._exchange = None
        self.reply.reset(ALL_JSON)

    def end(self) -> None:
        """The connection has ended: nobody waits for an answer, and nobody is told of it."""
        self.abandon()
        self.reply.deliver = _untold

    def abandon(self) -> None:
        """Nobody waits for the answer any more; nothing of request and answer is kept."""
        self.route = None
        self.missing = 0
        self._parts.clear()
        if not self.response_complete:
            self.response_complete = True
            if self._exchange is not None:
                self._exchange.cancel()
        self.forget()


def _untold() -> None:
    """What takes the place of the connection that was to be told of an answer."""
