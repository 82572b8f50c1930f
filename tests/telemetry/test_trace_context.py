"""W3C Trace Context, as the specification's own examples and rules have it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import TraceState

from service.telemetry.trace_context import TraceContext, read_context

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def read(parent: str, *states: str) -> TraceContext | None:
    return read_context([("traceparent", parent), *[("tracestate", state) for state in states]])


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans(), st.sampled_from(["", "a=1,b@c=x y"]))
def test_what_is_written_is_read(trace: int, span: int, sampled: bool, state: str) -> None:
    """Any context comes back as it was."""
    context = TraceContext(trace=trace, span=span, sampled=sampled, state=state)
    assert context == read_context(context.headers())


def test_the_example_of_the_specification_is_read() -> None:
    """Ids are hexadecimal, and only the lowest flag says whether the trace is recorded."""
    context = read(GOOD, "rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE")
    assert context
    assert (TRACE, f"{int(SPAN, 16)}", True) == (context.trace_id, str(context.span), context.sampled)
    assert "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE" == context.state
    sampled = [read(f"00-{TRACE}-{SPAN}-{flags}") for flags in ("00", "02", "03", "ff")]
    assert [False, False, True, True] == [one.sampled for one in sampled if one]


@pytest.mark.parametrize(
    "parent", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", f" {GOOD} "]
)
def test_later_versions_are_read_as_far_as_is_known(parent: str) -> None:
    """They may add to the end."""
    assert read(parent)


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "garbage",
        GOOD[:-1],
        f"{GOOD}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f"00-{TRACE[:-1]}٣-{SPAN}-01",
        GOOD + "\n00",
    ],
)
def test_what_is_malformed_names_no_caller(parent: str) -> None:
    """The trace begins here then."""
    assert read(parent) is None


def test_two_callers_are_none() -> None:
    """Nobody knows which of them it is; and no header is no caller."""
    assert read_context([("traceparent", GOOD)] * 2) is None
    assert read_context([]) is None


@given(st.lists(st.from_regex(r"[ ]?[a-c1@_*/-]{0,4}={0,2}[a-z =]{0,3}[ ,\t]{0,2}", fullmatch=True), max_size=4))
def test_a_state_is_one_to_opentelemetry_too(states: list[str]) -> None:
    """What is passed on its SDK reads as it is, and what isn't it reads as nothing."""
    context = read(GOOD, *states)
    assert context
    theirs = TraceState.from_header(states)
    assert context.state == theirs.to_header()


@pytest.mark.parametrize("state", ["x=" + "1" * 600, "x=ä", "x=\x01", "x", "=1", "X=1", "x=1,x=2", "1x=2"])
def test_a_state_that_cannot_be_passed_on_is_left_out(state: str) -> None:
    """The rest is good all the same."""
    context = read(GOOD, state)
    assert context
    assert "" == context.state
