"""The HTTP protocol of uvicorn with what it lacks: deadlines, a bound on headers, refusals that arrive.

It leaves uvicorn the parser, the connection's life and the way to ASGI. A connection's last answer closes it gently: a
client that is still writing gets to read it. Offers of other protocols are ignored. When the server stops, a request
that is on its way is still answered.
"""

import asyncio
from typing import Any, ClassVar

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from service.protocol.http.answer import CLOSE, Answer, transport_refusal
from service.protocol.http.fast_cycle import FastCycle
from service.protocol.http.idleness import Idleness
from service.protocol.http.infer_route import LINGER
from service.protocol.http.reception import Reception, head_size
from service.protocol.http.wire import head_without_upgrade, headers_too_large, parser_refusal, write_answer
from service.protocol.limits import Limits

_MOST_PIECES = 65536
"""Chunks, or other pieces, that a body may come in: each takes microseconds, however small it is."""
BETWEEN, HEAD, BODY = range(3)
"""Where the parser is."""


class GuardedProtocol(HttpToolsProtocol):
    """Owns one connection. A subclass may take requests for itself in `dispatch`.

    What it owns refers back to it until the connection is lost, and not longer: so its memory is free then, and needn't
    wait for the collector of cycles, which looks for old ones once in many thousand connections.
    """

    limits: ClassVar[Limits]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        limits = self.limits
        self.reception = Reception(self.loop, limits.receive_seconds, limits.max_header_bytes, self._too_slow)
        self.idleness = Idleness(self.loop, self.timeout_keep_alive, self._is_idle, self._close)
        self.stage = BETWEEN
        self.pieces = 0  # of the body so far
        self.received = 0  # bytes in the piece that is being parsed
        self.is_open = True  # false once the last answer is decided: what still arrives is dropped
        self.is_stopping = False  # the next answer is the last
        self.begun: list[RequestResponseCycle] = []  # requests that went to ASGI and have no whole answer
        self.linger_timer: asyncio.TimerHandle | None = None
        self.unread_timer: asyncio.TimerHandle | None = None  # runs while answers pile up

    # -- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """A client connected; the deadline runs for its first request, too."""
        super().connection_made(transport)
        self.reception.start()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away, or was sent away."""
        self.is_open = False
        self.reception.end()
        self.idleness.end()
        if self.linger_timer is not None:
            self.linger_timer.cancel()
        if self.unread_timer is not None:
            self.unread_timer.cancel()
        for cycle in self.begun:  # uvicorn tells the last one only
            cycle.disconnected = True
            cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; the callbacks below do the rest."""
        if not self.is_open:
            return
        self.received = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self._parse_again(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self.refuse(parser_refusal(error))
        if self.stage and self.is_open:
            size = head_size(self.url, self.headers) if self.stage == HEAD else None
            if not self.reception.wait(len(data), size):
                self.refuse(headers_too_large(self.reception.limit))

    def pause_writing(self) -> None:
        """The client doesn't read its answers: they are kept for a while, then dropped together with the connection."""
        self.unread_timer = self.loop.call_later(self.limits.send_seconds, self.transport.abort)
        super().pause_writing()

    def resume_writing(self) -> None:
        """It has read them, or nearly all."""
        if self.unread_timer is not None:
            self.unread_timer.cancel()
        super().resume_writing()

    def shutdown(self) -> None:
        """The server stops: the next answer is the last. May be called more than once.

        uvicorn closes an idle connection at once, which resets it under a request that is on its way. Here there is a
        last call for such a request.
        """
        if self.is_stopping:
            return
        self.is_stopping = True
        if self.is_busy():
            super().shutdown()
        elif self.is_open:
            self.idleness.last_call()

    # -- the parser's callbacks

    def on_message_begin(self) -> None:
        """A request begins; its ASGI scope is made only if it goes there."""
        self.stage = HEAD
        self.url = b""
        self.headers = []
        self.pieces = 0
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """Decide which way the request takes."""
        reception = self.reception
        if reception.may_exceed(self.received) and head_size(self.url, self.headers) > reception.limit:
            self.refuse(headers_too_large(reception.limit))
            return
        self.stage = BODY
        self.dispatch()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.reception.got_body = True
        self.pieces += 1
        if self.pieces > _MOST_PIECES:
            self.refuse(transport_refusal(413, f"the body comes in more than {_MOST_PIECES} pieces", CLOSE))
        if self.is_open:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is there."""
        self.stage = BETWEEN
        self.reception.stop()
        if self.is_open and not self._offers_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer went out through ASGI, or others wait behind this one."""
        self.begun = [cycle for cycle in self.begun if not cycle.response_complete]
        super().on_response_complete()
        self._unset_keepalive_if_required()  # `idleness` takes its place
        self.idleness.begin()

    def dispatch(self) -> None:
        """Give the request to uvicorn, after doing for it what `on_message_begin` left out."""
        if not self.is_open or self._offers_upgrade():
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url = url
        self.headers.extend(headers)
        self.expect_100_continue = expects
        super().on_headers_complete()
        self.begun.append(self.cycle)
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
        self.renew_parser()
        self.data_received(head + rest)

    def renew_parser(self) -> None:
        """Another one like that which uvicorn made."""
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    # -- what is under way

    def current(self) -> RequestResponseCycle | FastCycle | None:
        """The latest request that was begun, answered or not."""
        return self.cycle

    def is_busy(self) -> bool:
        """Whether a request that was begun has no whole answer yet."""
        cycle = self.current()
        return cycle is not None and not cycle.response_complete

    def _is_idle(self) -> bool:
        """Whether nobody would miss the connection. When the server stops, one isn't kept for half a head."""
        return not self.is_busy() and self.stage in ((BETWEEN, HEAD) if self.is_stopping else (BETWEEN,))

    def _close(self) -> None:
        self.transport.close()

    # -- refusing

    def refuse(self, answer: Answer) -> None:
        """Answer the request that is being received, read nothing more, and close.

        An earlier request that has no answer yet gets its own, and this one none. Sending ends at once, closing waits:
        it would reset the connection under a client that is still writing, and the answer would be lost.
        """
        if not self.is_open:
            return
        self.is_open = False
        self.reception.stop()
        if self.is_busy():
            if self.stage != BODY:
                self.cycle.keep_alive = False
                return
            if self.pipeline or not self.abandon():
                self.transport.close()
                return
        write_answer(self.transport, answer, self.server_state.default_headers, keep_alive=False)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.linger_timer = self.loop.call_later(LINGER, self.transport.close)

    def abandon(self) -> bool:
        """End the request whose body is being received. False when its answer has begun already."""
        cycle = self.cycle
        if cycle.response_started:
            return False
        cycle.disconnected = True
        cycle.waiting_for_100_continue = False  # uvicorn would say so behind the refusal
        cycle.message_event.set()
        self.cycle = None  # type: ignore[assignment]  # as in uvicorn before the first request
        return True

    def _too_slow(self) -> None:
        """The time to receive a request is over."""
        if self.stage == BETWEEN:
            self.transport.close()  # connected, and never sent anything
        elif self.flow.read_paused or (self.stage == BODY and self.pipeline):
            self.reception.start()  # it is us who didn't read
        else:
            text = f"the request took more than {self.limits.receive_seconds:g} seconds to arrive"
            self.refuse(transport_refusal(408, text, CLOSE))
