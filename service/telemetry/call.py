"""One request as its door sees it, from its first byte to the last of its answer."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

from service.errors import HoneError
from service.messages import InferRequest, InferResponse
from service.quoting import quoted
from service.telemetry.span import Span
from service.telemetry.trace_context import TraceContext

_FAULTS = frozenset({"DATA_LOSS", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"})
_GONE = (499, "CANCELLED")


class Call(msgspec.Struct, eq=False):
    """Owns what is told of a request when it has ended, which `listener` hears; times are of `time.monotonic()`.

    `method` is HTTP's and empty over gRPC; `target` is the path, or the whole name of the RPC, and `route` the same
    without names of models. `status` is HTTP's number or the name of gRPC's code. `outcome` and `reason` are those of
    the error that it ended with; `admitted`, `answering` and `ended` are 0 until then. `received` and `sent` are bytes
    of the bodies. `parent` is the caller's span, and `span` its own where requests are traced. `on_finish` is called
    when the engine has done with it. Unless it is `told`, nobody wants to hear more of it than its span's context.
    """

    method: str
    target: str
    began: float
    listener: "Callable[[Call], None]"
    route: str = ""
    model: str = ""
    version: str = ""
    request_id: str = ""
    outcome: str = "ok"
    reason: str = ""
    status: int | str = ""
    received: int = 0
    sent: int = 0
    admitted: float = 0.0
    answering: float = 0.0
    ended: float = 0.0
    parent: TraceContext | None = None
    span: Span | None = None
    told: bool = True
    on_finish: Callable[[], None] | None = None

    # -- what the engine says

    def asks(self, model: str, version: str | None, request_id: str = "") -> None:
        """Which model it is for."""
        self.model, self.version, self.request_id = model, version or "", request_id

    def submitted(self, request: InferRequest) -> None:
        """It was decoded, and is about to be admitted or refused."""
        self.asks(request.model, request.version, request.id)
        self.admitted = time.monotonic()

    def refused(self, error: HoneError) -> None:
        """It isn't taken, or ended so."""
        self.outcome, self.reason = error.outcome, error.reason
        self.admitted = self.admitted or time.monotonic()

    def answers(self, response: InferResponse) -> None:
        """An answer is about to be written."""
        self.version = response.version
        self.answering = self.answering or time.monotonic()

    # -- what its door says

    def end(self, status: int | str, sent: int) -> None:
        """It has been answered, or given up; what is said later isn't heard."""
        if not self.told or self.ended:
            return
        self.ended, self.status, self.sent, self.on_finish = time.monotonic(), status, sent, None
        if not self.reason:
            self.outcome = self._outcome()
        self.listener(self)

    def _outcome(self) -> str:
        """What its status says, where the engine said nothing."""
        if self.is_fault:
            return "error"
        if self.status in _GONE:
            return "cancelled"
        good = self.status < 400 if isinstance(self.status, int) else self.status == "OK"
        return "ok" if good else "client_error"

    @property
    def is_fault(self) -> bool:
        """Whether its status is an error of the server's, by OpenTelemetry's conventions."""
        return self.status >= 500 if isinstance(self.status, int) else self.status in _FAULTS

    @property
    def trace(self) -> str:
        """The id of the trace that it belongs to, empty where nobody said."""
        context = self.span.context if self.span else self.parent
        return context.trace_id if context else ""

    @property
    def named(self) -> dict[str, str]:
        """What a line in the log calls it, as far as that is known."""
        known = {"request_id": quoted(self.request_id)[1:-1], "trace_id": self.trace}
        return {name: value for name, value in known.items() if value}


CALL: ContextVar[Call | None] = ContextVar("CALL", default=None)
"""The call that is being taken, where anybody listens."""


@contextmanager
def taking(call: Call | None) -> Iterator[None]:
    """What happens in the block happens for this call."""
    token = CALL.set(call)
    try:
        yield
    finally:
        CALL.reset(token)


def taken() -> dict[str, str]:
    """What a line in the log says of it: nothing where nobody listens."""
    call = CALL.get()
    return call.named if call else {}
