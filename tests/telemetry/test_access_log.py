"""Lines of the access log."""

import threading
import time
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from service.telemetry import access_log
from service.telemetry.access_log import AccessLog
from service.telemetry.call import Call
from service.telemetry.trace_context import TraceContext


def ended(method: str = "POST", target: str = "/v2/models/m/infer", status: int | str = 200) -> Call:
    """A call that has been answered."""
    call = Call(method, target, time.monotonic(), lambda _: None)
    call.end(status, 7)
    return call


def test_lines_say_what_is_known() -> None:
    """And leave out what isn't; a client's words are on one line, and short."""
    structlog.reset_defaults()
    plain, full, rpc = ended(target="/v2"), ended(status=503), ended("", "package.Service/Method", "OK")
    full.asks("m\n", "1", "i" * 100)
    full.outcome, full.reason, full.received = "rejected", "queue_full", 9
    full.parent = TraceContext(trace=int("a" * 32, 16), span=1, sampled=False)
    with capture_logs() as lines:
        log = AccessLog()
        for call in (plain, full, rpc):
            log.put(call)
        log.close()

    times = [(line.pop("timestamp"), line.pop("ms")) for line in lines]
    assert all(when.endswith("+00:00") and 0 <= ms < 1000 for when, ms in times)
    common = {"event": "access", "log_level": "info", "bytes_out": 7}
    assert [
        {**common, "method": "POST", "path": "/v2", "status": 200, "bytes_in": 0},
        {
            **common,
            "method": "POST",
            "path": "/v2/models/m/infer",
            "status": 503,
            "model": "m\\n",
            "outcome": "rejected",
            "bytes_in": 9,
            "version": "1",
            "reason": "queue_full",
            "request_id": "i" * 80 + "...",
            "trace_id": "a" * 32,
        },
        {**common, "rpc": "package.Service/Method", "status": "OK", "bytes_in": 0},
    ] == lines


def test_who_reads_slowly_slows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't wait is counted, and said when there is room again."""
    going, written, warned = threading.Event(), list[Any](), list[int]()

    class Stalled:
        def bind(self) -> "Stalled":
            return self

        def info(self, _event: str, **line: Any) -> None:
            going.wait(10)
            written.append(line)

        def warning(self, _event: str, lost: int) -> None:
            warned.append(lost)

    monkeypatch.setattr(access_log, "_log", Stalled())
    monkeypatch.setattr(access_log, "_MOST_WAITING", 100)
    log = AccessLog()
    began = time.monotonic()
    for _ in range(1000):
        log.put(ended())
    assert time.monotonic() - began < 1
    going.set()
    log.close()

    assert 1000 == len(written) + sum(warned)
    assert len(written) <= 102
