"""Who listens to calls: the access log, and whoever collects spans."""

import time
from typing import Protocol

from service.quoting import on_one_line
from service.telemetry.access_log import AccessLog
from service.telemetry.call import Call
from service.telemetry.span import Span, Value
from service.telemetry.trace_context import Headers, TraceContext, read_context
from service.telemetry.tracer import Tracer

_LONGEST = 256
"""Characters of an attribute that a client has chosen."""

_GRPC_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""The names of gRPC's status codes, by their numbers."""


class Collector(Protocol):
    """Who sends spans away."""

    def export(self, span: Span) -> None:
        """Take a span that has ended; returns at once."""

    def close(self) -> None:
        """Send what is left, for some seconds at most. Waits, so it is meant for a thread."""


class Calls:
    """Begins calls, and tells those who listen when they have ended: in spans if there is a `collector`, for a share of
    `ratio` of those whose callers don't say, and in lines of a `log`.
    """

    def __init__(self, collector: Collector | None, log: AccessLog | None, *, ratio: float = 1.0) -> None:
        self._collector = collector
        self._tracer = Tracer(collector.export, ratio) if collector else None
        self._log = log

    def begin(self, method: str, target: str, headers: Headers, *, route: str = "") -> Call:
        """A request has begun to arrive; its `headers` say where its trace began, if it has one."""
        call = Call(method, target, time.monotonic(), self._ended, route or target)
        return self._placed(call, read_context(headers) if headers else None)

    def message(self, outer: Call, received: int) -> Call:
        """A request that came by itself within a call, which isn't told of then: a message of a stream."""
        call = Call(outer.method, outer.target, time.monotonic(), self._ended, outer.route)
        call.received = received
        return self._placed(call, outer.parent)

    def _placed(self, call: Call, parent: TraceContext | None) -> Call:
        """The same in its trace, if it has one."""
        call.parent = parent
        if self._tracer:
            span = call.span = self._tracer.begin("", call.began, parent)
            call.told = span.context.sampled or self._log is not None
        return call

    def close(self) -> None:
        """No call begins any more. Waits for what is still to be told, so it is meant for a thread."""
        if self._log:
            self._log.close()
        if self._collector:
            self._collector.close()

    def _ended(self, call: Call) -> None:
        if self._log:
            self._log.put(call)
        if call.span and call.span.context.sampled and call.model:
            _finish(call, call.span)


def _finish(call: Call, span: Span) -> None:
    """The span of a request to a model, and those of what its door did."""
    span.child("receive", call.began).finish(call.admitted or call.ended)
    if call.answering:
        span.child("respond", call.answering).finish(call.ended)
    span.attributes.update(_attributes(call))
    span.name = on_one_line(f"{call.method} {call.route}".lstrip(), _LONGEST)
    span.finish(call.ended, (call.reason or str(call.status)) if call.is_fault else "")


def _attributes(call: Call) -> dict[str, Value]:
    """By OpenTelemetry's semantic conventions, as far as they have a word for it. A client's words are cut."""
    about: dict[str, Value] = {"hone.model": on_one_line(call.model, _LONGEST), "hone.outcome": call.outcome}
    if call.version:
        about["hone.model.version"] = on_one_line(call.version, _LONGEST)
    if call.request_id:
        about["hone.request.id"] = on_one_line(call.request_id, _LONGEST)
    if call.reason:
        about["error.type"] = call.reason
    if isinstance(call.status, int):
        return about | {
            "http.request.method": call.method,
            "http.route": on_one_line(call.route, _LONGEST),
            "http.response.status_code": call.status,
            "http.request.body.size": call.received,
            "http.response.body.size": call.sent,
            "url.path": on_one_line(call.target, _LONGEST),
            "url.scheme": "http",
        }
    service, _, method = call.target.rpartition("/")
    return about | {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "rpc.grpc.status_code": _GRPC_CODES.index(call.status),
    }
