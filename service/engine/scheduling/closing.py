"""Closing a batch: who of those that wait is computed next, and who can't make it any more.

As many as fit go together, but a batch never grows beyond what its tightest deadline allows. Who would miss its
deadline even alone is dropped before it costs anything. So is, when the queue falls behind, a head that would force a
small batch: all behind it would pay for that. Nobody is dropped for the sake of less important priority levels.

Source of the early drop: H. Shen et al., "Nexus: A GPU Cluster Engine for Accelerating DNN-Based Video Analysis",
SOSP 2019, section 6.3.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from service.engine.exchange import Exchange
from service.engine.profile import LatencyProfile
from service.engine.scheduling.foresight import HASTE
from service.errors import DeadlineExceeded

_LOOKED_AT = 64
"""Exchanges that are looked at, at least: two full batches, or these, say enough about what waits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Closing:
    """What became of those that waited: `taken` make the batch, `dropped` can't be finished in time."""

    taken: list[Exchange]
    dropped: list[Exchange]


@dataclass(frozen=True, kw_only=True, slots=True)
class Closer:
    """How batches are closed: at most `limit` rows (0: one request), of a `preferred` size where enough rows wait.

    `alike` tells which requests can be rows of one array.
    """

    limit: int
    preferred: Sequence[int] = ()
    alike: Callable[[Exchange, Exchange], bool] | None = None

    def window(self, fullest: int) -> int:
        """So many of those that wait are looked at, where the batch may have `fullest` rows."""
        return max(2 * self.limit, 2 * fullest, _LOOKED_AT)

    def close(
        self, window: Sequence[Exchange], now: float, profile: LatencyProfile | None, fullest: int = 0, hasty: int = 0
    ) -> Closing:
        """The next batch from `window`, who waits in the order to compute; without a `profile` nobody is dropped.

        Where nobody is in haste it is the `fullest` batch, if there is one and so many rows wait: then nothing counts
        but how much is computed in a second. Where somebody is, it is the `hasty` one, if there is one, but takes half
        of what anybody was granted at most: who comes just after it began waits for it, and for the next.
        """
        if len(window) == 1:  # the commonest case of a calm service
            (head,) = window
            is_late = profile and now + profile.seconds(head.rows) * head.weight > head.deadline
            return Closing(taken=[], dropped=[head]) if is_late else Closing(taken=[head], dropped=[])
        limit = self._room(window, now, profile, fullest, hasty) if fullest or hasty else self.limit
        for start, head in enumerate(window):
            if profile and now + profile.seconds(head.rows) * head.weight > head.deadline:
                continue
            taken, cramped = self._fill(window[start:] if start else window, limit, now, profile)
            if not (cramped and profile and self._falls_behind(taken, window[start:], now, profile)):
                return Closing(taken=self._trimmed(taken), dropped=list(window[:start]))
        return Closing(taken=[], dropped=list(window))

    def _fill(
        self, window: Sequence[Exchange], limit: int, now: float, profile: LatencyProfile | None
    ) -> tuple[list[Exchange], bool]:
        """The head and all that fits beside it; and whether it was a deadline that kept somebody out."""
        if self._is_calm(window, limit, now, profile):
            return list(window[:limit]), False
        taken: list[Exchange] = []
        rows, room, tightest = 0, limit, float("inf")
        for exchange in window:
            wanted = rows + exchange.rows
            if taken:
                if self.alike and not self.alike(taken[0], exchange):
                    continue
                if wanted > limit:
                    return taken, False
            if profile and exchange.deadline < tightest:
                own = profile.most_rows((exchange.deadline - now) / exchange.weight)
                if taken and wanted > own:
                    continue  # it can still be the head of a batch of its own
                tightest, room = exchange.deadline, min(own, room)
            if taken and wanted > room:
                return taken, True
            taken.append(exchange)
            rows = wanted
        return taken, False

    def _room(
        self, window: Sequence[Exchange], now: float, profile: LatencyProfile | None, fullest: int, hasty: int
    ) -> int:
        if min([exchange.deadline for exchange in window]) >= now + HASTE:
            return fullest if 0 < fullest <= sum([exchange.rows for exchange in window]) else self.limit
        if not (hasty and profile):
            return self.limit
        granted = min([(exchange.deadline - exchange.admitted) / exchange.weight for exchange in window])
        return max(min(hasty, profile.most_rows(granted / 2)), self.limit)

    def _is_calm(self, window: Sequence[Exchange], limit: int, now: float, profile: LatencyProfile | None) -> bool:
        """Whether the first can all go together: single rows that are alike and have time for a full batch."""
        first = window[:limit]
        if not first or self.alike or sum([exchange.rows for exchange in first]) > len(first):
            return False
        return not profile or profile.most_rows(min([exchange.deadline for exchange in first]) - now) >= limit

    def _falls_behind(
        self, taken: Sequence[Exchange], window: Sequence[Exchange], now: float, profile: LatencyProfile
    ) -> bool:
        """Whether, after a batch of `taken`, the others in the window would be late even in the best batches.

        The others that count are of the head's priority level, or of a more important one.
        """
        head = taken[0]
        rows = sum([exchange.rows for exchange in taken])
        equals = [exchange for exchange in window if exchange.level <= head.level]
        rest = sum([exchange.rows * exchange.weight for exchange in equals])
        rest -= sum([exchange.rows for exchange in taken if exchange.level <= head.level]) * head.weight
        done = now + profile.seconds(rows) * head.weight + rest * profile.seconds_per_row()
        return done > max([exchange.deadline for exchange in equals])

    def makes_preferred(self, waiting: Sequence[Exchange]) -> bool:
        """Whether the first of `waiting`, who wait in this order, make a batch of a preferred size."""
        return self._preferred([one for one in waiting if not self.alike or self.alike(waiting[0], one)]) > 0

    def _preferred(self, taken: Sequence[Exchange]) -> int:
        """How many of the first make the largest preferred size that is reached; 0 if none is."""
        totals = accumulate([exchange.rows for exchange in taken])
        return max((count for count, rows in enumerate(totals, 1) if rows in self.preferred), default=0)

    def _trimmed(self, taken: list[Exchange]) -> list[Exchange]:
        """Cut back to the largest preferred size, if one was reached."""
        if self.preferred and (count := self._preferred(taken)):
            return taken[:count]
        return taken


def too_late(exchange: Exchange, now: float) -> DeadlineExceeded:
    """What who was dropped is told."""
    waited = now - exchange.admitted
    return DeadlineExceeded(f"dropped after {waited * 1e3:.0f} ms: it can't be finished in time any more")
