"""How long a request may wait in its queue, and how many may: Triton's `ModelQueuePolicy`."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

TimeoutAction: TypeAlias = Literal["reject", "delay"]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuePolicy:
    """Bounds of one queue. `max_queue_size` is 0 for the server's own bound, `default_timeout_microseconds` for none.

    A request that has waited beyond its timeout is refused, or delayed: taken when nobody else of its level waits. With
    `allow_timeout_override` a request may shorten its timeout, never lengthen it.
    """

    max_queue_size: int = 0
    default_timeout_microseconds: int = 0
    timeout_action: TimeoutAction = "reject"
    allow_timeout_override: bool = False

    def timeout(self, asked: float | None) -> float | None:
        """Seconds that a request which asks for `asked` may wait, None for as long as it likes."""
        own = self.default_timeout_microseconds / 1e6
        if not own:
            return None
        return min(own, asked) if asked and self.allow_timeout_override else own
