"""How a model's requests are queued and joined, as its configuration and the server's limits decide."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.artifact.queue_policy import QueuePolicy
from service.engine.exchange import Exchange


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchingPolicy:
    """How requests are joined. `max_rows` is 0 for a model without a batch axis; `join` is False when the
    configuration has no dynamic_batching: then every request is a batch of its own. `delay` is in seconds. `levels` has
    the queue policy of each priority level, the first level first. `waste` tells the share of a batch that is padding,
    where inputs are padded.
    """

    max_rows: int
    join: bool
    delay: float
    max_queued_requests: int
    max_queued_bytes: int
    shapes_vary: bool
    preferred: Sequence[int] = ()
    levels: Sequence[QueuePolicy] = (QueuePolicy(),)
    waste: Callable[[Sequence[Exchange]], float] | None = None
