"""Which requests are traced."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from service.telemetry import tracer as tracing
from service.telemetry.span import Kind, Span
from service.telemetry.trace_context import TraceContext
from service.telemetry.tracer import Tracer


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_the_share_is_that_of_opentelemetry(trace: int, ratio: float) -> None:
    """The same ids are sampled, so that a trace that another server began with the same ratio is whole."""
    theirs = TraceIdRatioBased(ratio).should_sample(None, trace, "").decision is Decision.RECORD_AND_SAMPLE
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracing, "random_id", lambda _: trace)
        ours = Tracer(print, ratio).begin("x", 0.0, None)
    assert theirs == ours.context.sampled


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_the_caller_decides(sampled: bool, ratio: float) -> None:
    """Whatever the ratio; its trace and state go on, and its span is the parent."""
    parent = TraceContext(trace=7, span=8, sampled=sampled, state="a=b")
    span = Tracer(print, ratio).begin("x", 0.0, parent)
    assert (7, sampled, "a=b") == (span.context.trace, span.context.sampled, span.context.state)
    assert (parent, Kind.SERVER) == (span.parent, span.kind)
    assert 8 != span.context.span


def test_spans_of_a_sampled_trace_are_exported() -> None:
    """Those of others aren't, nor their children; a child is of the same trace, what is beside of another."""
    exported: list[Span] = []
    for ratio in (0.0, 1.0):
        span = Tracer(exported.append, ratio).begin("x", 1.0, None)
        span.child("y", 2.0).finish(3.0)
        beside = span.beside("z", 4.0)
        beside.finish(3.0, "late")
        span.finish(5.0)

    child, beside, parent = exported
    assert parent.context == child.parent
    assert parent.context.trace == child.context.trace != beside.context.trace
    assert (None, 4.0, "late") == (beside.parent, beside.end, beside.error)
    assert parent.epoch == child.epoch == beside.epoch
