"""What is told of a call, and when."""

import gc
import weakref
from typing import Any

import pytest
import structlog
from msgspec import structs
from structlog.testing import capture_logs

from service.errors import Cancelled, QueueFull
from service.telemetry.call import CALL, Call, taken, taking
from service.telemetry.calls import Calls
from service.telemetry.span import Span
from service.telemetry.tracer import Tracer
from tests.engine.doubles import request
from tests.engine.rig import Rig, turn


class Collector:
    """Keeps what it is given. Implements `Collector`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def export(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Nothing waits."""


def made(status: int | str, *, method: str = "POST", reason: Any = None) -> tuple[Call, list[Span]]:
    """A call to a model that ended so, and its spans."""
    collector = Collector()
    call = Calls(collector, None).begin(method, "/path" if method else "package.Service/Method", ())
    call.submitted(structs.replace(request(1.0), id="mine"))
    if reason:
        call.refused(reason)
    call.end(status, 3)
    return call, collector.spans


@pytest.mark.parametrize(
    "status,method,reason,outcome,error",
    [
        (200, "POST", None, "ok", ""),
        (404, "POST", QueueFull("x"), "rejected", ""),
        (503, "POST", QueueFull("x"), "rejected", "queue_full"),
        (499, "POST", Cancelled("x"), "cancelled", ""),
        (500, "POST", None, "error", "500"),
        ("OK", "", None, "ok", ""),
        ("RESOURCE_EXHAUSTED", "", QueueFull("x"), "rejected", ""),
        ("UNAVAILABLE", "", QueueFull("x"), "rejected", "queue_full"),
        ("INTERNAL", "", None, "error", "INTERNAL"),
    ],
)
def test_statuses_say_whose_fault_it_is(status: int | str, method: str, reason: Any, outcome: str, error: str) -> None:
    """Errors of the server's are errors of its span; a fault that the engine doesn't know of is one too."""
    call, spans = made(status, method=method, reason=reason)
    assert (outcome, outcome, error) == (call.outcome, spans[-1].attributes["hone.outcome"], spans[-1].error)


def test_a_call_ends_once() -> None:
    """What is said later isn't heard."""
    call, spans = made(200)
    call.end(500, 0)
    assert (200, 2) == (call.status, len(spans))


def test_questions_have_no_spans() -> None:
    """Only requests to models do."""
    collector = Collector()
    Calls(collector, None).begin("GET", "/v2/health/ready", ()).end(200, 0)
    assert [] == collector.spans


def test_words_of_a_client_are_cut() -> None:
    """However long they are: a collector keeps what it is sent."""
    collector = Collector()
    call = Calls(collector, None).begin("POST", "/" + "p" * 9999, ())
    call.asks("m" * 9999, "v" * 9999, "i\n" * 9999)
    call.end(404, 0)
    texts = [value for value in collector.spans[-1].attributes.values() if isinstance(value, str)]
    assert max(map(len, texts)) < 300
    assert "\n" not in "".join(texts)


async def test_lines_about_a_request_name_it() -> None:
    """By its id and its trace, in a turn of the loop that has nothing to do with who asked."""
    structlog.reset_defaults()
    rig = Rig()
    exchange, recorder = rig.exchange(1.0)
    trace = Tracer(print, 0.0).begin("x", 0.0, None)
    exchange.request = structs.replace(exchange.request, id="mine\n", trace=trace)
    recorder.emit = None  # type: ignore[assignment,method-assign]  # a fault of ours
    rig.batcher.submit(exchange)
    await turn()
    with capture_logs() as lines:
        rig.instances[0].answer()

    (line,) = lines
    assert ("m", "mine\\n", trace.context.trace_id) == (line["model"], line["request_id"], line["trace_id"])


def test_lines_while_a_request_is_taken_name_it_as_far_as_it_is_known() -> None:
    """And say nothing where nobody listens."""
    assert {} == taken()
    call = Calls(None, None).begin("POST", "/", [("traceparent", f"00-{'a' * 32}-{'b' * 16}-01")])
    with taking(call):
        assert {"trace_id": "a" * 32} == taken()
        call.asks("m", None, "mine")
        assert {"trace_id": "a" * 32, "request_id": "mine"} == taken()
    assert CALL.get() is None


def test_what_has_ended_is_not_held() -> None:
    """A call that waits for its line has nothing of the answer, nor does it need the collector of cycles to go."""
    call = Calls(Collector(), None).begin("", "package.Service/Method", ())
    answer = Collector()
    call.on_finish = [answer, call].clear
    gone = weakref.ref(answer)
    gc.disable()
    try:
        call.end("OK", 0)
        del answer
        assert gone() is None
    finally:
        gc.enable()
