"""ModelStreamInfer: many requests on one call, answered in the order in which they came, but for texts, whose pieces
go out as they are written.

A request that is refused doesn't end the stream: its answer says why, and names the request by its id. A client that
asks for it (metadata `triton_grpc_error: true`) gets the status of gRPC instead, which ends the call.
"""

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc
from tritonclient.grpc import service_pb2

from service.engine.exchange import Exchange
from service.errors import Draining, HoneError, InvalidRequest
from service.messages import InferResponse
from service.protocol.grpc.infer import InferDoor
from service.protocol.grpc.infer_response import encode_infer
from service.protocol.grpc.reply import Reply
from service.protocol.grpc.status import trailers_of
from service.protocol.grpc.wire import field, split
from service.protocol.status import grpc_status

_ANSWER = 2
_AT_ONCE = 64
"""Requests of one stream that are under way; no more are read meanwhile."""
_MOST_BYTES = 64 * 1024 * 1024
"""Answers of one stream that wait for their client to read them, before no more requests are read."""
_FINAL = service_pb2.ModelInferResponse(
    parameters={"triton_final_response": service_pb2.InferParameter(bool_param=True)}
).SerializeToString()
"""Merged into a message it says that no other answer to that request follows."""
_MORE = service_pb2.ModelInferResponse(
    parameters={"triton_final_response": service_pb2.InferParameter(bool_param=False)}
).SerializeToString()
"""The same of one that others follow."""


class _Pieces(Reply):
    """A reply that may have several answers: all but the last are handed on at once. Implements `Receiver`."""

    __slots__ = ("_hand_on", "begun")

    def __init__(self, deliver: Callable[[], None], hand_on: Callable[[bytes], None]) -> None:
        super().__init__(deliver)
        self._hand_on = hand_on
        self.begun = False

    def forget(self) -> None:
        """Nothing more is to be handed on."""
        self._deliver = self._hand_on = _nothing

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        if not response.final and self.targets:
            raise InvalidRequest(
                "a text that is written in pieces can't go to shared memory: each would replace the last"
            )
        if response.final:
            super().emit(response)
        else:
            self.begun = True
            self._hand_on(encode_infer(response, self.targets))


class _Turn:
    """Owns one request of a stream: its id, its exchange, if it was admitted, and its answer."""

    def __init__(self, order: "_Order", door: InferDoor) -> None:
        self.id = ""
        self.answered = False
        self.exchange: Exchange | None = None
        self.reply = _Pieces(self._deliver, order.piece)
        self._order: _Order | None = order
        self._door = door
        self._held = 0

    def submit(self, message: bytes, remaining: float | None) -> None:
        """Hand a request on. Its message isn't kept: what is needed of it the exchange has."""
        try:
            self._door.hold(message)
            self._held = len(message)
            self.exchange = self._door.submit(message, remaining, self.reply, streams=True)
            self.id = self.exchange.request.id
        except HoneError as error:
            self.id = _id(message)
            self.reply.finish(error.with_traceback(None))

    def cancel(self) -> None:
        if self.exchange:
            self.exchange.cancel()  # has no effect on one that has ended

    def _deliver(self) -> None:
        self._door.let_go(self._held)
        order, self._order, self.answered = self._order, None, True
        self.exchange = None  # which has its tensors, while the answer may wait for others, or for its client
        self.reply.forget()  # what refers to this, so that both are gone as soon as the answer is sent
        if order:
            order.settle(self)


class _Order:
    """Owns who of a stream is unanswered, and what is ready to be sent: turns in the order in which they came, pieces
    of texts and the ends of those as they come, and None behind all.
    """

    def __init__(self) -> None:
        self.ready: asyncio.Queue[_Turn | bytes | None] = asyncio.Queue()
        self.unanswered: dict[_Turn, None] = {}
        self.light = asyncio.Event()
        self.light.set()
        self._closed = False
        self._bytes = 0

    def add(self, turn: _Turn) -> None:
        """It comes after all others."""
        self.unanswered[turn] = None

    def piece(self, body: bytes) -> None:
        """An answer that others to the same request follow."""
        self._weigh(len(body))
        self.ready.put_nowait(body)

    async def next(self) -> _Turn | bytes | None:
        """What is to be sent next."""
        one = await self.ready.get()
        if one is not None:
            self._weigh(-_size(one))
        return one

    def _weigh(self, nbytes: int) -> None:
        self._bytes += nbytes
        if self._bytes > _MOST_BYTES:
            self.light.clear()
        else:
            self.light.set()

    def _put(self, turn: _Turn) -> None:
        self._weigh(_size(turn))
        self.ready.put_nowait(turn)

    def settle(self, turn: _Turn) -> None:
        """It is answered."""
        if turn.reply.begun and turn in self.unanswered:
            del self.unanswered[turn]
            self._put(turn)
        self._flush()

    def close(self) -> None:
        """Nobody comes any more."""
        self._closed = True
        self._flush()

    def _flush(self) -> None:
        while self.unanswered and (first := next(iter(self.unanswered))).answered:
            del self.unanswered[first]
            self._put(first)
        if self._closed and not self.unanswered:
            self.ready.put_nowait(None)


class StreamDoor:
    """Takes streams of inference messages in wire form."""

    def __init__(self, door: InferDoor) -> None:
        self._door = door
        self._orders: set[_Order] = set()
        self._closed = False

    def close(self) -> None:
        """The server is about to stop: streams end as soon as nothing of them is unanswered."""
        self._closed = True
        for order in list(self._orders):
            order.close()

    async def stream(self, _requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        """Write the ModelStreamInferResponses. When the call ends, whatever of it is unanswered leaves the queue.

        It reads and writes by itself: iterators of gRPC keep the last message of either kind until another comes.
        """
        strict = ("triton_grpc_error", "true") in (context.invocation_metadata() or ())
        room = asyncio.Semaphore(_AT_ONCE)
        order = _Order()
        self._orders.add(order)

        async def read() -> None:
            try:
                while (message := await context.read()) is not grpc.aio.EOF:
                    await room.acquire()
                    await order.light.wait()
                    turn = _Turn(order, self._door)
                    order.add(turn)
                    turn.submit(message, context.time_remaining())
                    del message, turn  # an idle stream holds neither
            finally:
                order.close()

        reading = asyncio.create_task(read())
        if self._closed:
            order.close()
        try:
            while (one := await order.next()) is not None:
                if isinstance(one, bytes):
                    await context.write(b"".join(field(_ANSWER, one + _MORE)))
                    continue
                room.release()
                error = one.reply.error
                if error and strict:
                    await context.abort(grpc.StatusCode[grpc_status(error)], str(error), trailers_of(error))
                await context.write(_refusal(one, error) if error else _answer(one))
                del one
            if self._closed and not reading.done():  # what was sent just now isn't taken any more, and is to be told so
                stopping = Draining("the server is stopping")
                await context.abort(grpc.StatusCode[grpc_status(stopping)], str(stopping), trailers_of(stopping))
        finally:
            self._orders.discard(order)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            for turn in list(order.unanswered):
                turn.cancel()


def _answer(turn: _Turn) -> bytes:
    body = turn.reply.body
    assert body is not None
    return b"".join(field(_ANSWER, body + _FINAL))


def _refusal(turn: _Turn, error: HoneError) -> bytes:
    named = service_pb2.ModelInferResponse(id=turn.id)
    text: bytes = service_pb2.ModelStreamInferResponse(
        error_message=str(error), infer_response=named
    ).SerializeToString()
    return text


def _size(one: _Turn | bytes) -> int:
    return len(one if isinstance(one, bytes) else one.reply.body or b"")


def _nothing(*_: object) -> None:
    """Whatever is said now, nobody hears it."""


def _id(message: bytes) -> str:
    try:
        return split(message, len(message)).id.decode()
    except (HoneError, UnicodeDecodeError):
        return ""
