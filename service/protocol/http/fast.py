"""The fast entrance: inference requests go from uvicorn's parser straight to the engine.

A subclass of uvicorn's protocol. It leaves it the parser, the connection's life and the way to ASGI, and takes for
itself only what callbacks alone can answer: a POST to an inference path with a Content-Length, while nothing else is
under way on the connection. No scope, task, future, timer or log line is made for such a request. Everything else goes
to ASGI as if this class didn't exist, except that every request has a deadline to arrive, and headers have a bound.
"""

import asyncio
from typing import Any, ClassVar, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.protocol.engine_port import Engine
from service.protocol.http.answer import CLOSE, Answer, refusal, transport_refusal
from service.protocol.http.fast_cycle import FastCycle, KnownHead
from service.protocol.http.head import body_limit, body_too_large
from service.protocol.http.idleness import Idleness
from service.protocol.http.infer_door import InferDoor, Route
from service.protocol.http.infer_route import LINGER
from service.protocol.http.reception import Reception, head_size
from service.protocol.http.wire import (
    JOIN_BELOW,
    head_without_upgrade,
    headers_too_large,
    json_success,
    parser_refusal,
    write_answer,
)
from service.protocol.limits import Limits

_BETWEEN, _HEAD, _BODY = range(3)  # where the parser is


def fast_protocol(engine: Engine, limits: Limits) -> type[HttpToolsProtocol]:
    """The class for `uvicorn.Config(http=...)`, bound to one engine."""
    return type("BoundFastProtocol", (FastProtocol,), {"door": InferDoor(engine, limits)})


class FastProtocol(HttpToolsProtocol):
    """Owns one connection."""

    door: ClassVar[InferDoor]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        limits = self.door.limits
        self.fast = FastCycle(self.door, self._answered)
        self.reception = Reception(self.loop, limits.receive_seconds, limits.max_header_bytes, self._too_slow)
        self.is_open = True  # false once the last answer is decided: what still arrives is dropped
        self.stage = _BETWEEN
        self.piece = b""  # what is being parsed, if a request may begin with it
        self.received = 0  # bytes in the piece that is being parsed
        self.expected: KnownHead | None = None  # headers that may come again, while the connection is free for them
        self.idleness = Idleness(self.loop, self.timeout_keep_alive, self._is_idle, self._close)
        self.is_stopping = False  # the next answer is the last
        self.linger_timer: asyncio.TimerHandle | None = None

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A client connected; the deadline runs for its first request, too."""
        super().connection_made(transport)
        self.reception.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away: cancel what it waits for."""
        self.is_open = False
        self.reception.stop()
        self.idleness.stop()
        if self.linger_timer is not None:
            self.linger_timer.cancel()
        self.fast.abandon()
        if self._current() is self.fast:
            self._set_cycle(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; the callbacks below do the rest."""
        expected = self.expected
        if expected is not None and len(data) == expected.size and data.startswith(expected.text):
            self.expected = None
            self.fast.repeat(expected, data)
            return
        if not self.is_open:
            return
        self.received = len(data)
        self.piece = b"" if self.stage else data
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._parse_again(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._refuse(parser_refusal(error))
        self.piece = b""
        if self.stage and self.is_open:
            size = head_size(self.url, self.headers) if self.stage == _HEAD else None
            if not self.reception.wait(len(data), size):
                self._refuse(headers_too_large(self.reception.limit))

    def pause_writing(self) -> None:
        """The client doesn't read its answers: its next request goes to ASGI, which waits for it."""
        self.expected = None
        super().pause_writing()

    def shutdown(self) -> None:
        """The server stops: the next answer is the last. May be called more than once.

        uvicorn closes an idle connection at once, which resets it under a request that is on its way. Here there is a
        last call for such a request.
        """
        if self.is_stopping:
            return
        self.is_stopping = True
        self.expected = None
        if self._is_busy():
            super().shutdown()
        elif self.is_open:
            self.idleness.last_call()

    def _is_idle(self) -> bool:
        """Whether nobody would miss the connection. When the server stops, one isn't kept for half a request's head."""
        return not self._is_busy() and self.stage in ((_BETWEEN, _HEAD) if self.is_stopping else (_BETWEEN,))

    def _close(self) -> None:
        self.transport.close()

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        """A request begins; its ASGI scope is made only if it goes there."""
        self.stage = _HEAD
        self.expected = None
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Decide which way the request takes."""
        reception = self.reception
        if reception.may_exceed(self.received) and head_size(self.url, self.headers) > reception.limit:
            self._refuse(headers_too_large(reception.limit))
            return
        self.stage = _BODY
        route = self.door.route(self.url)
        if route is None or not self._begin_fast(route):
            self._hand_to_asgi()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.reception.got_body = True
        if self.fast.route is not None:
            self.fast.receive(body)
        elif self.is_open:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is there."""
        self.stage = _BETWEEN
        self.reception.stop()
        if self.fast.route is not None:
            self.fast.submit()
        elif self.is_open and not self._offers_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer went out through ASGI, or others wait behind this one."""
        super().on_response_complete()
        self._unset_keepalive_if_required()  # ours takes its place
        self.idleness.begin()

    # -- the two ways

    def _begin_fast(self, route: Route) -> bool:
        """Take the request if callbacks alone can answer it, or refuse it when its headers suffice for that."""
        parser = self.parser
        if (
            parser.get_method() != b"POST"
            or parser.should_upgrade()
            or self.expect_100_continue
            or self.flow.write_paused
            or not self.is_open
            or self._is_busy()
        ):
            return False
        fields = dict(self.headers)
        length = fields.get(b"content-length")
        if length is None or b"transfer-encoding" in fields:
            return False
        if int(length) > body_limit(fields, self.door.limits):
            error = body_too_large(fields, self.door.limits)
            self.door.engine.refuse(*route, "http", error)
            self._refuse(refusal(error, CLOSE))
            return True
        keep_alive = parser.should_keep_alive() and not self.is_stopping
        if keep_alive and b"connection" in fields:
            keep_alive = parser.get_http_version() != "1.0"  # uvicorn closes those, whatever they ask for
        self.fast.begin(route, fields, keep_alive)
        self.fast.learn(self.piece, int(length))
        self._set_cycle(self.fast)
        return True

    def _hand_to_asgi(self) -> None:
        """Give the request to uvicorn, after doing for it what `on_message_begin` left out."""
        if not self.is_open or self._offers_upgrade():
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = expects
        super().on_headers_complete()
        if self.is_stopping:
            self.cycle.keep_alive = False

    def _offers_upgrade(self) -> bool:
        """Whether the client offers another protocol that nobody here speaks, such as h2c."""
        return self.parser.should_upgrade() and not self._should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _parse_again(self, rest: bytes) -> None:
        """Ignore the offer of another protocol: parse the same request without it.

        The parser takes everything after such headers for the other protocol and would lose the body. Java's client
        makes this offer with its first request.
        """
        head = head_without_upgrade(self.parser.get_method(), self.url, self.headers)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(head + rest)

    # -- answering

    def _answered(self) -> None:
        """The fast request has its answer: write it, and make the connection ready for the next."""
        fast = self.fast
        if fast.response_complete:
            return  # abandoned
        fast.response_complete = True
        state = self.server_state
        body = fast.reply.json_body
        if body is None or not fast.keep_alive or state.default_headers or len(body) > JOIN_BELOW:
            write_answer(self.transport, fast.reply.answer(), state.default_headers, fast.keep_alive)
        else:
            self.transport.write(json_success(body))
        if not fast.keep_alive:
            self.is_open = False
            self.transport.close()
        if self.pipeline:
            self.on_response_complete()
            return
        state.total_requests += 1
        self.expected = fast.known if self.is_open and not self.is_stopping else None
        self.idleness.begin()

    def _current(self) -> RequestResponseCycle | FastCycle | None:
        return self.cycle

    def _is_busy(self) -> bool:
        cycle = self._current()
        return cycle is not None and not cycle.response_complete

    def _set_cycle(self, cycle: FastCycle | None) -> None:
        self.cycle = cast("RequestResponseCycle", cycle)  # it has all that uvicorn asks of a cycle that isn't its own

    # -- refusing

    def _too_slow(self) -> None:
        """The time to receive a request is over."""
        if self.stage == _BETWEEN:
            self.transport.close()  # connected, and never sent anything
        elif self.flow.read_paused or (self.stage == _BODY and self.pipeline):
            self.reception.start()  # it is us who didn't read
        else:
            text = f"the request took more than {self.door.limits.receive_seconds:g} seconds to arrive"
            self._refuse(transport_refusal(408, text, CLOSE))

    def _refuse(self, answer: Answer) -> None:
        """Answer the request that is being received, read nothing more, and close.

        An earlier request that has no answer yet gets its own, and this one none. Sending ends at once, closing waits:
        it would reset the connection under a client that is still writing, and the answer would be lost.
        """
        if not self.is_open:
            return
        self.is_open = False
        self.reception.stop()
        if self._is_busy():
            if self.stage != _BODY:
                self.cycle.keep_alive = False
                return
            if self.pipeline or not self._abandon_cycle():
                self.transport.close()
                return
        write_answer(self.transport, answer, self.server_state.default_headers, keep_alive=False)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.linger_timer = self.loop.call_later(LINGER, self.transport.close)

    def _abandon_cycle(self) -> bool:
        """End the request whose body is being received. False when its answer has begun already."""
        cycle = self._current()
        if isinstance(cycle, RequestResponseCycle):
            if cycle.response_started:
                return False
            cycle.disconnected = True
            cycle.message_event.set()
        self.fast.abandon()
        self._set_cycle(None)
        return True
