"""The fast entrance where somebody listens: each of its requests is a call."""

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, TypeAlias

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.protocol.binary import Body
from service.protocol.client_memory import ClientMemory
from service.protocol.engine_port import Engine
from service.protocol.http.answer import Answer
from service.protocol.http.fast import FastProtocol
from service.protocol.http.fast_cycle import FastCycle
from service.protocol.http.guarded import BODY
from service.protocol.http.head import Head
from service.protocol.http.infer_door import InferDoor, Route
from service.protocol.http.known_heads import KnownHead, KnownHeads
from service.protocol.http.observed_app import GONE, trace_headers
from service.protocol.limits import Limits
from service.telemetry.call import CALL, Call, taking
from service.telemetry.calls import Calls
from service.telemetry.trace_context import PARENT

_PARENT = PARENT.encode()
_MODEL, _VERSION = "/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer"
_UNKNOWN = "-"
"""Stands for a method or a path that couldn't be read."""

_Fields: TypeAlias = Iterable[tuple[bytes, bytes]]


def observed_fast_protocol(
    engine: Engine, limits: Limits, memory: ClientMemory, calls: Calls
) -> type[HttpToolsProtocol]:
    """The class for `uvicorn.Config(http=...)`, bound to one engine, that tells `calls` of each request."""
    return type(
        "BoundObservedProtocol",
        (ObservedFastProtocol,),
        {"door": _Door(engine, limits, memory), "heads": _Heads(), "limits": limits, "calls": calls},
    )


class ObservedFastProtocol(FastProtocol):
    """Owns one connection, and says of each request that doesn't go to ASGI what was answered."""

    calls: ClassVar[Calls]

    def _cycle(self) -> FastCycle:
        self.observed = _Cycle(self.door, self._answered, self._call)
        return self.observed

    def _call(self, route: Route, fields: _Fields) -> Call:
        call = self.calls.begin("POST", "", trace_headers(fields) if fields else ())
        if call.told:
            model, version = route
            call.route = _VERSION if version else _MODEL
            call.target = call.route.format(model=model, version=version)
            call.asks(model, version)
        return call

    def _begin(self, route: Route) -> bool:
        call, under_way = self._call(route, self.headers), self.observed.call
        self.observed.call = call
        with taking(call):
            begun = super()._begin(route)
        if not begun:  # it goes to ASGI
            self.observed.call = under_way
        return begun

    def _refuse_unread(self, known: KnownHead) -> bool:
        call = self._call(known.route, ())
        call.received = known.length
        with taking(call):
            refused = super()._refuse_unread(known)
        if refused:
            call.end(call.status, call.sent)
        return refused

    def _answered(self) -> None:
        fast, call = self.observed, self.observed.call
        answer = fast.reply.answer() if call and call.told and not fast.response_complete else None
        super()._answered()
        if call and answer:
            call.end(answer.status, len(answer.body))

    def refuse(self, answer: Answer) -> None:
        """See `GuardedProtocol`. What went to ASGI ends there."""
        has_another = self.is_busy() and self.stage != BODY  # which gets its own answer
        if self.is_open and not has_another and not self.begun:
            target = self.url.decode("latin-1") or _UNKNOWN
            call = self.observed.call or self.calls.begin(_UNKNOWN, target, ())
            call.end(answer.status, len(answer.body))
        super().refuse(answer)


class _Cycle(FastCycle):
    """Has the call of the request that is under way."""

    __slots__ = ("_make", "call")

    def __init__(self, door: InferDoor, deliver: Callable[[], None], make: Callable[[Route, _Fields], Call]) -> None:
        super().__init__(door, deliver)
        self._make = make
        self.call: Call | None = None

    def begin(self, route: Route, fields: Mapping[bytes, bytes], keep_alive: bool, length: int) -> None:
        """See `FastCycle`."""
        super().begin(route, fields, keep_alive, length)
        if self.call:
            self.call.received = length

    def repeat(self, known: KnownHead, body: Body) -> None:
        """See `FastCycle`."""
        super().repeat(known, body)
        self.call = self._make(known.route, ())
        self.call.received = known.length

    def submit(self, body: Body | None = None) -> None:
        """See `FastCycle`."""
        token = CALL.set(self.call)
        try:
            super().submit(body)
        finally:
            CALL.reset(token)

    def take(self) -> None:
        """See `FastCycle`."""
        token = CALL.set(self.call)
        try:
            super().take()
        finally:
            CALL.reset(token)

    def abandon(self) -> None:
        """See `FastCycle`."""
        call = None if self.response_complete else self.call
        super().abandon()
        if call:
            call.end(GONE, 0)

    def forget(self) -> None:
        """See `FastCycle`."""
        super().forget()
        self.call = None


class _Door(InferDoor):
    """Says what a request is answered that is refused by its headers."""

    __slots__ = ()

    def refuse_unread(self, route: Route, head: Head) -> Answer | None:
        """See `InferDoor`."""
        answer = super().refuse_unread(route, head)
        if answer and (call := CALL.get()):
            call.status, call.sent = answer.status, len(answer.body)
        return answer


class _Heads(KnownHeads):
    """Keeps no headers that say which trace a request belongs to: the next request's is another."""

    __slots__ = ()

    def learn(self, piece: bytes, length: int, route: Route, fields: Mapping[bytes, bytes]) -> None:
        """See `KnownHeads`."""
        if _PARENT not in fields:
            super().learn(piece, length, route, fields)
