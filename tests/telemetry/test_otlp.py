"""What a collector gets, and that nothing waits for one that is down, slow, or says no."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from service.telemetry import otlp
from service.telemetry.otlp import OtlpCollector
from service.telemetry.span import Kind, Span
from service.telemetry.trace_context import TraceContext
from service.telemetry.tracer import Tracer
from tests.telemetry.collector import collecting


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are sent soon, and an attempt doesn't take long."""
    monkeypatch.setattr(otlp, "_PAUSE_MILLIS", 20.0)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.5")


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What was logged."""
    structlog.reset_defaults()
    with capture_logs() as captured:
        yield captured


def spans(collector: OtlpCollector, count: int) -> list[Span]:
    """So many that have ended."""
    made = [Tracer(collector.export).begin(f"x{number}", time.monotonic(), None) for number in range(count)]
    for span in made:
        span.finish(span.start + 0.25)
    return made


def test_a_span_arrives_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, times, kind, links, attributes and what went wrong; who sends it, as the environment has it."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,service.name=theirs")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
    with collecting() as collected:
        collector = OtlpCollector(collected.url + "/v1/traces", name="ours")
        parent = TraceContext(trace=5, span=6, sampled=True, state="a=b")
        span = Tracer(collector.export).begin("", time.monotonic(), parent)
        span.name, span.attributes = "POST /x", {"hone.model": "m", "n": 3, "share": 0.5, "yes": True}
        child = span.child("ask", span.start + 0.5, Kind.CLIENT)
        child.links.append(TraceContext(trace=1, span=2, sampled=True))
        child.finish(span.start + 1, "worker_lost")
        before = time.time_ns()
        span.finish(span.start + 2)
        collector.close()

    asked, told = collected.spans
    assert ["/v1/traces"] == collected.paths
    assert "secret" == {name.lower(): value for name, value in collected.headers[0].items()}["authorization"]
    assert ("theirs", "test") == (collected.resource["service.name"], collected.resource["deployment.environment"])
    assert (f"{5:032x}", f"{6:016x}", "POST /x", 2, 0) == (told.trace, told.parent, told.name, told.kind, told.status)
    assert {"hone.model": "m", "n": 3, "share": 0.5, "yes": True} == told.about
    assert (told.id, 3, 2, "worker_lost") == (asked.parent, asked.kind, asked.status, asked.why)
    assert (f"{2:016x}",) == asked.links
    assert abs(told.start - before) < 10**9
    assert (2.0, 0.5) == pytest.approx(((told.end - told.start) / 1e9, (asked.end - asked.start) / 1e9))


def test_a_collector_that_is_down_costs_spans_and_a_line(lines: list[Any]) -> None:
    """One line for all attempts, with how many were lost and why; one more at the end for those that came after it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    collector = OtlpCollector(f"http://127.0.0.1:{port}/v1/traces", name="hone")
    spans(collector, 600)
    until = time.monotonic() + 10
    while not lines:
        assert time.monotonic() < until
        time.sleep(0.01)
    spans(collector, 3)
    collector.close()

    assert {"spans are lost: the collector doesn't take them"} == {line["event"] for line in lines}
    assert len(lines) <= 2
    assert 603 == sum(line["lost"] for line in lines)
    assert {"warning"} == {line["log_level"] for line in lines}
    assert all(line["why"] for line in lines)


def test_a_collector_that_refuses_is_not_asked_again_and_again(lines: list[Any]) -> None:
    """What it says is in the line."""
    with collecting(status=400) as collected:
        collector = OtlpCollector(collected.url, name="hone")
        spans(collector, 5)
        collector.close()

    (line,) = lines
    assert 5 == line["lost"]
    assert "400" in line["why"]
    assert 1 == len(collected.paths)


def test_a_collector_that_hangs_holds_up_nobody(lines: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Handing on a span takes no time, no more than are allowed wait, and the end comes when it has to."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    monkeypatch.setattr(otlp, "_MOST_WAITING", 1000)
    monkeypatch.setattr(otlp, "_PATIENCE", 0.2)
    with collecting(hangs=True) as collected:
        collector = OtlpCollector(collected.url, name="hone")
        began = time.monotonic()
        spans(collector, 5000)
        handed = time.monotonic() - began
        collector.close()
        ended = time.monotonic() - began - handed

    assert handed < 3
    assert ended < 2
    (line,) = lines
    assert (5000, "not taken within 0.2 s of the end") == (line["lost"], line["why"])


def test_nothing_is_tried_after_the_end(lines: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where the SDK would go on for a minute: it slept until its next attempt, and has ended."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60")
    monkeypatch.setattr(otlp, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = set(threading.enumerate())
    collector = OtlpCollector(f"http://127.0.0.1:{port}/v1/traces", name="hone")
    spans(collector, 5)
    collector.close()
    until = time.monotonic() + 5
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < until, left
        time.sleep(0.02)

    (line,) = lines
    assert (5, "not taken within 0.2 s of the end") == (line["lost"], line["why"])
