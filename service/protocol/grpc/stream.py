"""ModelStreamInfer: many requests on one call, answered in the order in which they came.

A request that is refused doesn't end the stream: its answer says why, and names the request by its id. A client that
asks for it (metadata `triton_grpc_error: true`) gets the status of gRPC instead, which ends the call.
"""

import asyncio
from collections.abc import AsyncIterator

import grpc
import structlog
from tritonclient.grpc import service_pb2

from service.engine.exchange import Exchange
from service.errors import HoneError
from service.protocol.grpc.infer import InferDoor
from service.protocol.grpc.reply import Reply
from service.protocol.grpc.status import trailers_of
from service.protocol.grpc.wire import field, split
from service.protocol.status import grpc_status

_ANSWER = 2
_AT_ONCE = 64
"""Requests of one stream that are under way; no more are read meanwhile."""
_FINAL = service_pb2.ModelInferResponse(
    parameters={"triton_final_response": service_pb2.InferParameter(bool_param=True)}
).SerializeToString()
"""Merged into a message it says that no other answer to that request follows."""
_INTERNAL = "internal error"
_log = structlog.get_logger()


class _Turn:
    """Owns one request of a stream: its exchange, if it was admitted, and its answer."""

    def __init__(self, message: bytes) -> None:
        self.message = message
        self.answered = asyncio.Event()
        self.reply = Reply(self.answered.set)
        self.exchange: Exchange | None = None

    def submit(self, door: InferDoor, remaining: float | None) -> None:
        try:
            self.exchange = door.submit(self.message, remaining, self.reply)
        except HoneError as error:
            self.reply.finish(error)
        except Exception:
            _log.exception("can't take a request")
            self.reply.finish(HoneError(_INTERNAL))

    def cancel(self) -> None:
        if self.exchange:
            self.exchange.cancel()  # has no effect on one that has ended


class StreamDoor:
    """Takes streams of inference messages in wire form."""

    def __init__(self, door: InferDoor) -> None:
        self._door = door

    async def stream(
        self, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        """The ModelStreamInferResponses. When the call ends, whatever of it is unanswered leaves the queue."""
        strict = ("triton_grpc_error", "true") in (context.invocation_metadata() or ())
        room = asyncio.Semaphore(_AT_ONCE)
        turns: asyncio.Queue[_Turn | None] = asyncio.Queue()
        unanswered: set[_Turn] = set()

        async def read() -> None:
            try:
                async for message in requests:
                    await room.acquire()
                    turn = _Turn(message)
                    unanswered.add(turn)
                    turn.submit(self._door, context.time_remaining())
                    turns.put_nowait(turn)
            finally:
                turns.put_nowait(None)

        reading = asyncio.create_task(read())
        try:
            while turn := await turns.get():
                await turn.answered.wait()
                unanswered.discard(turn)
                room.release()
                error = turn.reply.error
                if error and strict:
                    await context.abort(grpc.StatusCode[grpc_status(error)], str(error), trailers_of(error))
                yield _refusal(turn, error) if error else _answer(turn)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            for turn in unanswered:
                turn.cancel()


def _answer(turn: _Turn) -> bytes:
    body = turn.reply.body
    assert body is not None
    return b"".join(field(_ANSWER, body + _FINAL))


def _refusal(turn: _Turn, error: HoneError) -> bytes:
    named = service_pb2.ModelInferResponse(id=_id(turn.message))
    text: bytes = service_pb2.ModelStreamInferResponse(
        error_message=str(error), infer_response=named
    ).SerializeToString()
    return text


def _id(message: bytes) -> str:
    try:
        return split(message, len(message)).id.decode()
    except (HoneError, UnicodeDecodeError):
        return ""
