"""Spans on their way to a collector: OTLP over HTTP, by OpenTelemetry's SDK, from a thread of its own."""

import logging
import threading
import time
from collections.abc import Sequence

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from service import __version__
from service.telemetry.span import Kind, Span
from service.telemetry.trace_context import TraceContext

_MOST_WAITING = 8192
"""Spans that wait for the collector; further ones are counted and dropped. One takes a kilobyte or two."""
_AT_ONCE = 512
_PAUSE_MILLIS = 1000.0
_BETWEEN_WARNINGS = 60.0
_PATIENCE = 5.0
"""Seconds that a collector may take at the end."""
_BILLION = 10**9
_KINDS = {kind: SpanKind[kind.name] for kind in Kind}
_UNSET = Status(StatusCode.UNSET)
_log = structlog.get_logger()


class OtlpCollector:
    """Owns the spans that wait for the collector at `url`, and the SDK's thread that sends them.

    A collector that is down or slow costs spans, and a line in the log from time to time. OTEL_RESOURCE_ATTRIBUTES and
    OTEL_SERVICE_NAME go before `name`; OTEL_EXPORTER_OTLP_HEADERS and the like are the SDK's. Implements `Collector`.
    """

    def __init__(self, url: str, *, name: str) -> None:
        about = Resource.create({"service.name": name, "service.version": __version__})
        self._resource = about.merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("hone", __version__)
        self._sender = _Sender(OTLPSpanExporter(endpoint=url), url)
        self._processor = BatchSpanProcessor(
            self._sender,
            max_queue_size=_MOST_WAITING + _AT_ONCE,  # this thread's view of what was taken lags behind
            schedule_delay_millis=_PAUSE_MILLIS,
            max_export_batch_size=_AT_ONCE,
        )
        self._put = 0

    def export(self, span: Span) -> None:
        """See `Collector`."""
        sender = self._sender
        if self._put - sender.taken >= _MOST_WAITING:
            sender.dropped += 1
            return
        self._put += 1
        self._processor.on_end(self._readable(span))

    def close(self) -> None:
        """See `Collector`. The SDK would wait for half a minute, and its thread would try for as long."""
        ending = threading.Thread(target=self._processor.shutdown, name="otlp-end", daemon=True)
        ending.start()
        ending.join(_PATIENCE)
        late = ""
        if ending.is_alive():
            late = f"not taken within {_PATIENCE:g} s of the end"
            self._sender.shutdown()
        self._sender.report(self._put - self._sender.taken, late)

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.context),
            parent=_context(span.parent) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            links=[Link(_context(link)) for link in span.links],
            kind=_KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error else _UNSET,
            start_time=span.epoch + int(span.start * _BILLION),
            end_time=span.epoch + int(span.end * _BILLION),
            instrumentation_scope=self._scope,
        )


def _context(context: TraceContext) -> SpanContext:
    return SpanContext(
        trace_id=context.trace,
        span_id=context.span,
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([context.state]) if context.state else None,
    )


class _Sender(SpanExporter):
    """Stands before the SDK's exporter, and says what its spans came to: once a minute where they are lost, with how
    many, instead of a line for each attempt. `taken` spans don't wait any more; `dropped` never did.
    """

    def __init__(self, exporter: OTLPSpanExporter, url: str) -> None:
        self.taken = 0
        self.dropped = 0
        self._exporter = exporter
        self._url = url
        self._lost = self._told = 0
        self._attempt = _Attempt()
        self._said = -_BETWEEN_WARNINGS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter`; called in the SDK's thread."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self.taken += len(spans)
            self._lost += 0 if result is SpanExportResult.SUCCESS else len(spans)
            if time.monotonic() - self._said >= _BETWEEN_WARNINGS:
                self.report()
        return result

    def report(self, waiting: int = 0, why: str = "") -> None:
        """Say how many were lost since it was last said, with those that wait in vain, and `why`: by default what was
        said of the latest attempt.
        """
        lost = self._lost + self.dropped + waiting - self._told
        if lost:
            self._told += lost
            self._said = time.monotonic()
            why = why or self._attempt.said
            _log.warning("spans are lost: the collector doesn't take them", url=self._url, lost=lost, why=why)

    def shutdown(self) -> None:
        """See `SpanExporter`."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # as the SDK has it

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """See `SpanExporter`."""
        return self._exporter.force_flush(timeout_millis)


class _Attempt(logging.Handler):
    """Hears what the SDK says of the latest attempt, which isn't logged by itself."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said = ""
        sdk = logging.getLogger(OTLPSpanExporter.__module__)
        sdk.propagate = False
        sdk.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        self.said = record.getMessage()
