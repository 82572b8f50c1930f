"""One request and its answers."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec
import structlog
from numpy.typing import NDArray

from service.artifact.signature import TensorSpec
from service.errors import BackendError, Cancelled, HoneError
from service.messages import InferRequest, InferResponse

_log = structlog.get_logger()


class Receiver(Protocol):
    """The side of a door that waits for one request's answers. Called on the event loop, never re-entrantly."""

    def emit(self, response: InferResponse) -> None:
        """Take one answer. Its arrays are valid during this call only: encode or copy them now.

        Raises a HoneError for an answer that can't be handed on; the exchange then ends with that.
        """

    def finish(self, error: HoneError | None) -> None:
        """The last call: no answer follows. `error` is None when all went well."""


class ExchangeOwner(Protocol):
    """Who admitted the exchange, and keeps count of it."""

    def ended(self, exchanges: "Sequence[Exchange]", error: HoneError | None) -> None:
        """These have just ended, all the same way; called once for each, before its receiver hears of it."""


class Exchange(msgspec.Struct, kw_only=True, eq=False):
    """Owns the state of one admitted request: who waits for it, until when, and whether it has ended.

    `finish` or `fail` takes effect exactly once; whatever comes later is ignored, so that a late result, a deadline
    and a disconnect may race. `deadline`, `admitted` and `started` are `time.monotonic()` seconds; `started` is 0 while
    it waits. `inputs` are in the model's order; `outputs` are positions and specs of those that were asked for.
    `lengths` are those that padded inputs had; `weight` is what a batch of that length takes, as a share of one of the
    longest inputs; `level` is its priority, 0 the first; `expires` is when it has waited as
    long as the model's queue policy allows. `deaths` counts the workers that crashed while they held it, `kills` those
    that somebody else killed; `again` says that it is to be tried again; `rides` that in the queue's bound on requests
    another part of the same request, which is taken later, counts for it too.
    """

    request: InferRequest
    receiver: Receiver
    owner: ExchangeOwner
    inputs: Sequence[NDArray[Any]]
    outputs: Sequence[tuple[int, TensorSpec]]
    rows: int
    nbytes: int
    admitted: float
    deadline: float
    started: float = 0.0
    ended: bool = False
    lengths: tuple[int, ...] = ()
    weight: float = 1.0
    level: int = 0
    expires: float = float("inf")
    again: bool = False
    rides: bool = False
    deaths: int = 0
    kills: int = 0

    def emit(self, response: InferResponse) -> None:
        """Hand one answer to the receiver, unless the exchange has ended; one that can't be handed on ends it."""
        if self.ended:
            return
        try:
            self.receiver.emit(response)
        except HoneError as error:
            self._end(error)
        except Exception:
            _log.exception("can't take an answer", **self.request.named)
            self._end(BackendError("an answer couldn't be made of what the model computed"))

    def answer(self, response: InferResponse) -> None:
        """Hand the only answer to the receiver and end well, unless the exchange has ended."""
        self.emit(response)
        self._end(None)

    def finish(self) -> bool:
        """End it well; False when it had ended before."""
        return self._end(None)

    def fail(self, error: HoneError) -> bool:
        """End it with an error; False when it had ended before."""
        return self._end(error)

    def cancel(self) -> bool:
        """The client went away: end it without telling anybody."""
        return self._end(Cancelled("the client went away"))

    def _end(self, error: HoneError | None) -> bool:
        if self.ended:
            return False
        end_all((self,), error)
        return True


def end_all(exchanges: Iterable[Exchange], error: HoneError | None) -> None:
    """End those that haven't ended, all the same way: each owner hears of its own at once, then the receivers do."""
    ended: dict[ExchangeOwner, list[Exchange]] = {}
    if error is not None:
        error.__traceback__ = None  # its frames hold what was asked
    for exchange in exchanges:
        if not exchange.ended:
            exchange.ended = True
            ended.setdefault(exchange.owner, []).append(exchange)
    for owner, its in ended.items():
        owner.ended(its, error)
    for its in ended.values():
        for exchange in its:
            try:
                exchange.receiver.finish(error)
            except Exception:
                # whoever else is answered now doesn't suffer for it
                _log.exception("can't hand an answer on", **exchange.request.named)
