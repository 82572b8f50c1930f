"""Which requests are traced: what the caller decided, else a share of them."""

import time
from collections.abc import Callable

from service.telemetry.span import Kind, Span, random_id
from service.telemetry.trace_context import TraceContext

_LOW = 2**64


class Tracer:
    """Begins the spans of requests; those that are sampled go to `export` when they have ended.

    A trace that begins here is sampled if its id is among the lowest `ratio` of all, so that servers with the same
    ratio agree: OpenTelemetry's ParentBased(TraceIdRatioBased).
    """

    def __init__(self, export: Callable[[Span], None], ratio: float = 1.0) -> None:
        self._export = export
        self._bound = round(ratio * _LOW)

    def begin(self, name: str, start: float, parent: TraceContext | None) -> Span:
        """The span of a request that has come, from a caller who may have one."""
        if parent is None:
            trace = random_id(128)
            context = TraceContext(trace=trace, span=random_id(64), sampled=trace % _LOW < self._bound)
        else:
            context = TraceContext(trace=parent.trace, span=random_id(64), sampled=parent.sampled, state=parent.state)
        epoch = time.time_ns() - time.monotonic_ns() if context.sampled else 0
        return Span(name, context, parent, start, self._export, epoch, Kind.SERVER)
