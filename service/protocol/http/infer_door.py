"""What both entrances do with an inference request once its body is there."""

import re
import time
from collections.abc import Mapping
from typing import TypeAlias

import structlog

from service.engine.exchange import Exchange
from service.errors import HoneError, Infeasible, InternalError, Unavailable
from service.protocol.binary import Body
from service.protocol.client_memory import ClientMemory
from service.protocol.engine_port import Engine
from service.protocol.http.answer import Answer, internal_error, refusal
from service.protocol.http.head import Head, read_head
from service.protocol.http.infer_request import InferDecoder
from service.protocol.http.reply import Reply
from service.protocol.limits import Limits
from service.quoting import quoted
from service.telemetry.call import taken

_log = structlog.get_logger()
_NAME = rb"([A-Za-z0-9][A-Za-z0-9._-]{0,127})"
_PATH = re.compile(rb"/v2/models/" + _NAME + rb"(?:/versions/" + _NAME + rb")?/infer")
_MOST_ROUTES = 1024
_SHEDDING = 0.25
"""Seconds after a refusal in which further ones are expected."""
_UNTOLD = 60.0
"""Seconds after a body that granted less time than its headers in which others may too: headers don't suffice then."""

Route: TypeAlias = tuple[str, str | None]


class InferDoor:
    """Owns the decoder, the paths that were seen with the model and version that they name, and which of these have
    just been refused for lack of time or room: `refusing` has when.
    """

    __slots__ = ("_answer", "_decoder", "_routes", "_said", "_untold", "engine", "limits", "refusing")

    def __init__(self, engine: Engine, limits: Limits, memory: ClientMemory) -> None:
        self.engine = engine
        self.limits = limits
        self._decoder = InferDecoder(engine, limits, memory)
        self.refusing: dict[Route, float] = {}
        self._routes: dict[bytes, Route | None] = {}
        self._untold: dict[Route, float] = {}  # when
        self._said: HoneError | None = None
        self._answer = internal_error()

    def route(self, path: bytes) -> Route | None:
        """Model and version if this is exactly an inference path with plain names, else None."""
        routes = self._routes
        try:
            return routes[path]
        except KeyError:
            if len(routes) >= _MOST_ROUTES:  # somebody invents names: start over rather than grow
                routes.clear()
            match = _PATH.fullmatch(path)
            route = None
            if match:
                model, version = match.groups()
                route = (model.decode(), version.decode() if version else None)
            routes[path] = route
            return route

    def submit(self, route: Route, fields: Mapping[bytes, bytes], body: Body, reply: Reply) -> Exchange | None:
        """Decode and submit. None when the request was refused at once: the refusal is then in `reply.failure`.

        `fields` are the headers, names in lower case. The caller delivers an immediate refusal itself. `reply` is a new
        one, or was reset.
        """
        try:
            head = read_head(fields)
        except HoneError as error:
            self.engine.refuse(*route, "http", error)
            reply.failure = refusal(error)
            return None
        return self.take(route, head, body, reply)

    def take(self, route: Route, head: Head, body: Body, reply: Reply) -> Exchange | None:
        """The same where the headers have been read."""
        model, version = route
        try:
            try:
                if self.refusing and (answer := self.refuse_unread(route, head)):
                    reply.failure = answer
                    return None
                request, reply.wanted = self._decoder.decode(model, version, head, body)
                if request.timeout != head.timeout:
                    self._note_untold(route)
            except HoneError as error:
                self.engine.refuse(model, version, "http", error)
                reply.failure = self._refusal(error)
                return None
            return self.engine.submit(request, reply)
        except HoneError as error:
            if isinstance(error, Unavailable):
                self.refusing[route] = time.monotonic()
            reply.failure = refusal(error)
        except Exception:
            _log.exception("can't take a request", model=quoted(model), **taken())
            fault = InternalError()
            self.engine.refuse(model, version, "http", fault)
            reply.failure = refusal(fault)
        return None

    def _note_untold(self, route: Route) -> None:
        if len(self._untold) >= _MOST_ROUTES:
            self._untold.clear()
        self._untold[route] = time.monotonic()

    def _refusal(self, error: HoneError) -> Answer:
        """What says so. Under overload the engine repeats itself, and so does the answer."""
        if not isinstance(error, Infeasible):
            return refusal(error)
        if error is not self._said:
            self._said, self._answer = error, refusal(error)
        error.with_traceback(None)  # or the request would be kept with it
        return self._answer

    def refuse_unread(self, route: Route, head: Head) -> Answer | None:
        """What spares a body from being parsed in vain, while the engine takes none of the kind; None if it may."""
        refused = self.refusing.get(route)
        if refused is None or time.monotonic() - self._untold.get(route, -_UNTOLD) < _UNTOLD:
            return None
        try:
            self.engine.precheck(*route, head.timeout)
        except HoneError as error:
            self.engine.refuse(*route, "http", error)
            return self._refusal(error)
        if time.monotonic() - refused > _SHEDDING:
            del self.refusing[route]
        return None
