"""Every error that Hone reports to a client or an operator, and nothing about how a protocol spells it.

HoneError
  InvalidRequest            the request can't be understood or doesn't fit the model
  Forbidden                 understood, but this server doesn't let clients do it
  ModelNotFound             no such model or version
  TooLarge                  a body or tensor beyond a limit
  QuotaExceeded             more than all clients together may have under way
  Cancelled                 the client went away; never sent
  BackendError              the runtime refused this request
  PoisonRequest             this request ended more than one worker process
  Unsupported               a part of the protocol that isn't implemented
  Unavailable               try again later; `retry_after` says when
    QueueFull               the model's queue is at its bound
    Infeasible              a deadline can't be met, its own or that of one before it, as far as can be foreseen
    QueueTimeout            it waited longer than the model's queue policy allows
    NotReady                the model is loading, or has no worker that runs
    Draining                the server is stopping
    WorkerLost              a worker ended, and no other took the request in time
  DeadlineExceeded          admitted, but not finished in the time that the client granted
  ArtifactError             a file in the model repository is missing, broken or inconsistent
  SettingsError             a flag, variable or file that the server was started with is wrong
  InternalError             a fault of Hone's own

`str(error)` is what a client reads: it names the culprit and holds no path, internal name or trace. `reason` is the
one word that bodies, trailing metadata and metric labels share; `outcome` the coarser one that requests are counted by.
"""

import math
from typing import ClassVar

from service.quoting import on_one_line

_LONGEST = 2000
"""Characters of a text that quotes files, which may come from a client."""


class HoneError(Exception):
    """Root of the tree. `reason` and `outcome` are stable words for machines."""

    reason: ClassVar[str] = "error"
    outcome: ClassVar[str] = "error"


class InvalidRequest(HoneError):
    """The request can't be understood, or doesn't fit what the model declares."""

    reason = "invalid_request"
    outcome = "client_error"


class Forbidden(HoneError):
    """Understood, but this server was started so that clients may not."""

    reason = "forbidden"
    outcome = "client_error"


class ModelNotFound(HoneError):
    """No model of that name, or no such version of it."""

    reason = "model_not_found"
    outcome = "client_error"


class TooLarge(HoneError):
    """A body or a tensor exceeds a limit; the text names the limit."""

    reason = "too_large"
    outcome = "client_error"


class QuotaExceeded(HoneError):
    """With this request, clients would have more under way than the server holds at once; the text names the limit."""

    reason = "quota"
    outcome = "rejected"


class Cancelled(HoneError):
    """The client went away before the answer; counted, never sent."""

    reason = "cancelled"
    outcome = "cancelled"


class BackendError(HoneError):
    """The runtime failed on exactly this request; its batch-mates were answered."""

    reason = "backend_error"


class PoisonRequest(HoneError):
    """The request ended a worker process more than once, and is refused for a while."""

    reason = "crashed_worker"


class Unsupported(HoneError):
    """The protocol has it, this server doesn't."""

    reason = "unsupported"
    outcome = "client_error"


class Unavailable(HoneError):
    """A refusal that may be retried after `retry_after` seconds: one, or as many as `wait` is foreseen to take."""

    outcome = "rejected"

    def __init__(self, text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.wait = wait
        self.retry_after = max(math.ceil(wait), 1)


class QueueFull(Unavailable):
    """The model's queue is at its bound of requests or bytes."""

    reason = "queue_full"


class Infeasible(Unavailable):
    """Refused at once, since it, or one that was admitted before, would not be finished in time; the text says when."""

    reason = "deadline_infeasible"


class QueueTimeout(Unavailable):
    """It waited in the queue for as long as the model's queue policy allows."""

    reason = "queue_timeout"


class NotReady(Unavailable):
    """The model is known, but is still loading or has failed to load."""

    reason = "not_ready"


class Draining(Unavailable):
    """The server is stopping and admits nothing new."""

    reason = "draining"


class WorkerLost(Unavailable):
    """A worker ended while it held the request, and no other could take it."""

    reason = "worker_lost"


class DeadlineExceeded(HoneError):
    """Admitted, but not finished within the time that the client granted."""

    reason = "deadline_exceeded"
    outcome = "deadline"


class ArtifactError(HoneError):
    """A file of the model repository is missing, broken or inconsistent; the text names file and key.

    Files hold whatever they hold, and may have come along with a request: the text stays short, and on one line.
    """

    reason = "artifact"

    def __init__(self, text: str) -> None:
        super().__init__(on_one_line(text, _LONGEST))


class SettingsError(HoneError):
    """A flag, an environment variable or a file that the server was started with is wrong."""

    reason = "settings"


class InternalError(HoneError):
    """A fault of Hone's own: the log has the trace, the client gets none of it."""

    def __init__(self, text: str = "internal error") -> None:
        super().__init__(text)
