"""The fast entrance: inference requests go from uvicorn's parser straight to the engine.

It takes only what callbacks alone can answer: a POST to an inference path with a Content-Length, while nothing else is
under way on the connection. No scope, task, future, timer or log line is made for such a request. Everything else goes
to ASGI as if this class didn't exist.
"""

import asyncio
from typing import Any, ClassVar, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.errors import TooLarge
from service.protocol.client_memory import ClientMemory
from service.protocol.engine_port import Engine
from service.protocol.http.answer import CLOSE, refusal
from service.protocol.http.compression import is_coded
from service.protocol.http.fast_cycle import FastCycle
from service.protocol.http.guarded import BETWEEN, GuardedProtocol
from service.protocol.http.head import beyond, body_limit
from service.protocol.http.infer_door import InferDoor, Route
from service.protocol.http.known_heads import END, END_BYTES, KnownHead, KnownHeads
from service.protocol.http.large_body import LARGE, LargeBody
from service.protocol.http.wire import JOIN_BELOW, json_success, write_answer
from service.protocol.limits import Limits
from service.turn import Turn


def fast_protocol(engine: Engine, limits: Limits, memory: ClientMemory) -> type[HttpToolsProtocol]:
    """The class for `uvicorn.Config(http=...)`, bound to one engine."""
    return type(
        "BoundFastProtocol",
        (FastProtocol,),
        {"door": InferDoor(engine, limits, memory), "heads": KnownHeads(), "limits": limits},
    )


class FastProtocol(GuardedProtocol):
    """Owns one connection, and the fast request that is under way on it."""

    door: ClassVar[InferDoor]
    heads: ClassVar[KnownHeads]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.fast = self._cycle()
        self.turn = Turn.of(self.loop)
        self.piece = b""  # what is being parsed, if a request may begin with it
        self.is_free = False  # the parser is between two requests, and nothing is under way

    def _cycle(self) -> FastCycle:
        return FastCycle(self.door, self._answered)

    # -- the connection

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away: cancel what it waits for."""
        self.is_free = False
        self.fast.end()
        if self.current() is self.fast:
            self._set_cycle(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a request that differs from an earlier one in its body only, or parse what arrived."""
        if self.is_free:
            self.is_free = False
            begin = data.find(END) + END_BYTES
            known = self.heads.known.get(data[:begin])
            if known is not None and known.length == len(data) - begin:
                if self.door.refusing and self._refuse_unread(known):
                    return
                fast = self.fast
                is_json = known.head.json_length is None
                fast.repeat(known, data[begin:] if is_json else memoryview(data)[begin:])  # no second copy of a picture
                self.turn.take(fast.take)
                return
        if self.stage == BETWEEN:
            self.piece = data
        super().data_received(data)
        self.piece = b""
        if self.is_free:  # a refusal came before the end of this piece
            self.is_free = self.is_open and self.stage == BETWEEN and not self.is_busy()
        if self.fast.missing >= LARGE and self.is_open:
            self._listen(LargeBody(self, *self.fast.unfinished()))

    def _refuse_unread(self, known: KnownHead) -> bool:
        """Refuse a request by its headers, if the engine does; nothing of it is kept, nor put off to the turn's end."""
        try:
            answer = self.door.refuse_unread(known.route, known.head)
        except Exception:  # a fault of ours: what takes the request meets it too, logs it and answers
            return False
        if answer is None:
            return False
        state = self.server_state
        self.is_free = True
        write_answer(self.transport, answer, state.default_headers, keep_alive=True)
        state.total_requests += 1
        self.idleness.begin()
        return True

    def body_received(self, body: bytearray) -> None:
        """A large body is complete. It went past the parser, which waits for it still and isn't of use any more."""
        self._listen(self)
        self.renew_parser()
        self.stage = BETWEEN
        self.reception.stop()
        if self.fast.route is not None:
            self.fast.submit(body)

    def _listen(self, protocol: asyncio.BaseProtocol) -> None:
        """Let `protocol` have what is read from now on."""
        self.transport.pause_reading()
        self.transport.set_protocol(protocol)
        self.transport.resume_reading()

    def pause_writing(self) -> None:
        """The client doesn't read its answers: its next request goes to ASGI, which waits for it."""
        self.is_free = False
        super().pause_writing()

    def shutdown(self) -> None:
        """The server stops: the next answer is the last."""
        self.is_free = False
        super().shutdown()

    # -- the parser's callbacks

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        if self.fast.route is not None:
            self.reception.got_body = True
            self.fast.receive(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is there."""
        if self.fast.route is not None:
            self.stage = BETWEEN
            self.reception.stop()
            self.fast.learn(self.piece, self.heads)
            self.fast.submit()
        else:
            super().on_message_complete()

    def dispatch(self) -> None:
        """Take the request if callbacks alone can answer it, else give it to ASGI."""
        route = self.door.route(self.url)
        if route is None or not self._begin(route):
            super().dispatch()

    def _begin(self, route: Route) -> bool:
        """Take the request, or refuse it when its headers suffice for that; False when it isn't for us."""
        parser = self.parser
        if (
            parser.get_method() != b"POST"
            or parser.should_upgrade()
            or self.expect_100_continue
            or self.flow.write_paused
            or not self.is_open
            or self.is_busy()
        ):
            return False
        fields = dict(self.headers)
        length = fields.get(b"content-length")
        if length is None or b"transfer-encoding" in fields or is_coded(fields):
            return False
        limit = body_limit(fields, self.limits)
        if int(length) > limit:
            error = TooLarge(beyond(fields).format(limit))
            self.door.engine.refuse(*route, "http", error)
            self.refuse(refusal(error, CLOSE))
            return True
        keep_alive = parser.should_keep_alive() and not self.is_stopping
        if keep_alive and b"connection" in fields:
            keep_alive = parser.get_http_version() != "1.0"  # uvicorn closes those, whatever they ask for
        self.fast.begin(route, fields, keep_alive, int(length))
        self._set_cycle(self.fast)
        return True

    # -- answering

    def _answered(self) -> None:
        """The fast request has its answer: write it, and make the connection ready for the next."""
        fast = self.fast
        if fast.response_complete:
            return  # abandoned
        fast.response_complete = True
        state = self.server_state
        reply = fast.reply
        body = None if reply.failure or reply.json_length is not None else reply.body
        if body is None or not fast.keep_alive or state.default_headers or len(body) > JOIN_BELOW:
            write_answer(self.transport, reply.answer(), state.default_headers, fast.keep_alive)
        else:
            self.transport.write(json_success(body))
        fast.forget()
        if not fast.keep_alive:
            self.is_open = False
            self.transport.close()
        if self.pipeline:
            self.on_response_complete()
            return
        state.total_requests += 1
        self.is_free = self.is_open and self.stage == BETWEEN and not self.is_stopping and not self.flow.write_paused
        self.idleness.begin()

    def abandon(self) -> bool:
        """End the request whose body is being received, ours or one that went to ASGI."""
        if self.current() is not self.fast:
            return super().abandon()
        self.fast.abandon()
        self._set_cycle(None)
        return True

    def _set_cycle(self, cycle: FastCycle | None) -> None:
        self.cycle = cast("RequestResponseCycle", cycle)  # it has all that uvicorn asks of a cycle that isn't its own
