"""Somebody who listens to calls, and keeps what is told."""

from typing import cast

from service.telemetry.access_log import AccessLog
from service.telemetry.call import Call
from service.telemetry.calls import Calls
from service.telemetry.span import Span
from tests.contract.live import eventually


class Listener:
    """An access log and a collector of spans in one, in memory. Implements `Collector`."""

    def __init__(self, *, ratio: float = 1.0) -> None:
        self.told: list[Call] = []
        self.spans: list[Span] = []
        self.calls = Calls(self, cast("AccessLog", self), ratio=ratio)

    def put(self, call: Call) -> None:
        self.told.append(call)

    def export(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Nothing waits."""

    def next(self, before: int) -> Call:
        """The only call that was told of since there were so many."""
        eventually(lambda: len(self.told) > before)
        (call,) = self.told[before:]
        return call
