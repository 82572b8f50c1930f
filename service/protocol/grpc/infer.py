"""ModelInfer: one request, one answer."""

import asyncio

import grpc
import structlog
from msgspec import structs

from service.engine.exchange import Exchange
from service.errors import DeadlineExceeded, HoneError, InternalError, QuotaExceeded
from service.protocol.client_memory import ClientMemory
from service.protocol.engine_port import Engine
from service.protocol.grpc.infer_request import InferDecoder
from service.protocol.grpc.reply import Reply
from service.protocol.grpc.status import set_status
from service.protocol.grpc.wire import split
from service.protocol.limits import Limits
from service.telemetry.call import taken

_log = structlog.get_logger()
_SOON = 1e-6
"""Seconds that a call is taken to have left whose deadline is just over."""
_TRAVEL = 0.05
"""Seconds by which a client's deadline may be over before the call's here, which began when it arrived."""
_UNKNOWN: tuple[str, str | None] = ("", None)


class InferDoor:
    """Takes inference messages in wire form, within `limits`, and hands them to `engine`; it has taken `taken`.

    Owns how many bytes of messages are being answered. Those that are still arriving are gRPC's, as are answers that a
    client leaves unread.
    """

    def __init__(self, engine: Engine, limits: Limits, memory: ClientMemory) -> None:
        self.taken = 0
        self._engine = engine
        self._limits = limits
        self._held = 0
        self._decoder = InferDecoder(limits, memory)

    async def infer(self, message: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """The ModelInferResponse; when the request is refused the call ends with that. A call that the client cancels,
        or whose deadline passes, leaves the queue.
        """
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def deliver() -> None:
            if not answered.done():  # as it is when the call was cancelled
                answered.set_result(None)

        reply = Reply(deliver)
        try:
            self.hold(message)
            try:
                exchange = self.submit(message, context.time_remaining(), reply)
                await self._until(answered, exchange, context)
            finally:
                self.let_go(len(message))
        except HoneError as error:
            reply.error = error.with_traceback(None)  # the frames of which hold the message
        if reply.error or reply.body is None:
            assert reply.error
            set_status(context, reply.error)
            return b""
        return reply.body

    def hold(self, message: bytes) -> None:
        """Count a message as one that is being answered, until `let_go` of its bytes."""
        self.taken += 1
        self._held += len(message)

    def let_go(self, nbytes: int) -> None:
        """A message of so many bytes has been answered."""
        self._held -= nbytes

    def submit(self, message: bytes, remaining: float | None, reply: Reply, *, streams: bool = False) -> Exchange:
        """Decode a request that is held and hand it on; `remaining` are the seconds that its call has left. With
        `streams` the reply takes several answers.

        Raises a HoneError: QuotaExceeded when too many bytes are held, but alone any message may be. Only the body
        says whose step it is, so it is decoded before.
        """
        named = _UNKNOWN
        try:
            try:
                parts = split(message, self._limits.max_json_bytes)
                head = self._decoder.head(parts.head)
                named = head.model, head.version
                reply.targets = self._decoder.targets(head)
                request = self._decoder.request(head, parts, remaining if remaining is None else max(remaining, _SOON))
            except HoneError as error:
                self._engine.refuse(*named, "grpc", error)
                raise
            held, most = self._held, self._limits.max_held_bytes
            if held > most and held > len(message):
                quota = QuotaExceeded(f"messages of {held} bytes would be under way, at most {most} may be: send fewer")
                self._engine.turn_away(request, quota)
                raise quota
            return self._engine.submit(structs.replace(request, streams=True) if streams else request, reply)
        except HoneError:
            raise
        except Exception:
            _log.exception("can't take a request", **taken())
            fault = InternalError()
            self._engine.refuse(*named, "grpc", fault)
            raise fault from None

    async def _until(
        self, answered: asyncio.Future[None], exchange: Exchange, context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> None:
        """Wait for the answer. gRPC cancels the task of a call that the client gave up, or whose deadline is over: a
        client whose deadline is over gives up by itself, and that may come first.
        """
        try:
            await answered
        except asyncio.CancelledError:
            remaining = context.time_remaining()
            if remaining is not None and remaining <= _TRAVEL:
                exchange.fail(DeadlineExceeded("not finished within the deadline of the call"))
            exchange.cancel()  # has no effect on one that has ended
            raise
