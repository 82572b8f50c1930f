"""Where a span belongs, as W3C Trace Context writes it: https://www.w3.org/TR/trace-context/."""

import re
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

PARENT, STATE = "traceparent", "tracestate"
Headers: TypeAlias = Sequence[tuple[str, str]]
"""Names in lower case, and values."""

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_KEY = r"[a-z][_0-9a-z*/-]{0,255}|[a-z0-9][_0-9a-z*/-]{0,240}@[a-z][_0-9a-z*/-]{0,13}"
_MEMBER = re.compile(rf"({_KEY})=[ -+\--<>-~]{{0,255}}[!-+\--<>-~]", re.ASCII)
_MOST_MEMBERS, _LONGEST_STATE = 32, 512
_SAMPLED = 1


class TraceContext(msgspec.Struct, frozen=True, kw_only=True):
    """A `span` of a `trace`, and whether that is recorded; `state` is what other tracers say, passed on unchanged."""

    trace: int
    span: int
    sampled: bool
    state: str = ""

    @property
    def trace_id(self) -> str:
        """As logs and traces write it: 32 hexadecimal digits."""
        return f"{self.trace:032x}"

    def headers(self) -> Headers:
        """What tells the next server of it."""
        parent = (PARENT, f"00-{self.trace_id}-{self.span:016x}-{int(self.sampled):02x}")
        return (parent, (STATE, self.state)) if self.state else (parent,)


def read_context(headers: Headers) -> TraceContext | None:
    """The caller's span, if the headers name one as they have to; a tracestate that can't be passed on is left out."""
    parents = [value for name, value in headers if name == PARENT]
    found = _TRACEPARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if found is None or (found[1] == "00" and found[5]):
        return None
    trace, span = int(found[2], 16), int(found[3], 16)
    if not (trace and span):
        return None
    return TraceContext(
        trace=trace,
        span=span,
        sampled=bool(int(found[4], 16) & _SAMPLED),
        state=_state([value for name, value in headers if name == STATE]),
    )


def _state(values: Sequence[str]) -> str:
    """One header of several; nothing where it isn't as it has to be, so that whoever gets it needn't look."""
    members = [member.strip(" \t") for member in ",".join(values).split(",")]
    members = [member for member in members if member]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in found if match}
    state = ",".join(members)
    return state if len(keys) == len(members) <= _MOST_MEMBERS and len(state) <= _LONGEST_STATE else ""
