"""What is told of requests besides their answers, as the operator decided."""

from service.settings import Settings
from service.telemetry.access_log import AccessLog
from service.telemetry.calls import Calls
from service.trace_file import TraceFile
from service.tracing import TraceControl, TraceSettings


def traces_of(settings: Settings) -> TraceControl:
    """Triton's traces, which clients may switch on, into a file."""
    wanted = TraceSettings(
        level=settings.trace_level,
        rate=settings.trace_rate,
        count=settings.trace_count,
        log_frequency=settings.trace_log_frequency,
    )
    file = TraceFile(settings.trace_file, settings.max_trace_bytes) if settings.trace_file else None
    return TraceControl(file, wanted, locked=settings.locked)


def calls_of(settings: Settings) -> Calls | None:
    """Spans and the access log; None where neither is asked for, so that requests cost nothing more."""
    collector = None
    if settings.otlp_endpoint:
        from service.telemetry.otlp import OtlpCollector  # an extra, and half a second

        collector = OtlpCollector(settings.otlp_endpoint, name=settings.server_name)
    log = AccessLog() if settings.access_log else None
    return Calls(collector, log, ratio=settings.trace_sample_ratio) if collector or log else None
