"""A piece of work in a distributed trace: what it was, when it was done, and of what it is a part."""

import random
from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

import msgspec

from service.telemetry.trace_context import TraceContext

Value: TypeAlias = str | int | float | bool


class Kind(Enum):
    """OpenTelemetry's kinds: work within, a request that came, one that was sent on."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"


class Span(msgspec.Struct, eq=False):
    """Owns what is told of a piece of work until it has ended; then `export` has it, if its trace is sampled.

    Times are seconds of `time.monotonic()`, `epoch` is the time of day at 0 in nanoseconds, the same for all spans that
    come of one another. `parent` is None where a trace begins. `links` are spans that it has to do with elsewhere;
    `error` is one word for what went wrong, empty where nothing did. `retried` is when its work was last given back, to
    be done again.
    """

    name: str
    context: TraceContext
    parent: TraceContext | None
    start: float
    export: "Callable[[Span], None]"
    epoch: int
    kind: Kind = Kind.INTERNAL
    attributes: dict[str, Value] = {}
    links: list[TraceContext] = []
    end: float = 0.0
    retried: float = 0.0
    error: str = ""

    def child(self, name: str, start: float, kind: Kind = Kind.INTERNAL) -> "Span":
        """A part of this, in the same trace."""
        mine = self.context
        context = TraceContext(trace=mine.trace, span=random_id(64), sampled=mine.sampled, state=mine.state)
        return Span(name, context, mine, start, self.export, self.epoch, kind)

    def beside(self, name: str, start: float) -> "Span":
        """The first of a trace of its own, sampled as this one is: what was done for several traces at once."""
        context = TraceContext(trace=random_id(128), span=random_id(64), sampled=self.context.sampled)
        return Span(name, context, None, start, self.export, self.epoch)

    def finish(self, end: float, error: str = "") -> None:
        """It is done; called once."""
        self.end, self.error = max(end, self.start), error
        if self.context.sampled:
            self.export(self)


def random_id(bits: int) -> int:
    """One that nobody else has. It hides nothing, so it needn't be hard to guess."""
    return random.getrandbits(bits) or 1
