"""How long a worker that has just become free waits for a fuller batch.

Clients that wait for their answers send the next request right after them. A worker that takes what is there at once
then alternates between small and large batches, and small ones cost more per row. So it lingers for a moment, but only
when something is waiting already, only for as long as a joint batch would save, and only while clients do come back.
A lone request never waits.
"""

from service.engine.profile import LatencyProfile

SHARE = 0.05
"""At most this share of the batch at hand's own time is spent on waiting."""
LONGEST = 0.005
RESOLUTION = 0.001
"""Seconds: timers aren't finer, so a shorter wait isn't worth one."""
LEARNING, FORGETTING = 0.2, 0.001


class Linger:
    """Owns what is expected of clients: `trust` is the share of answered rows that came back within the wait."""

    def __init__(self) -> None:
        self.trust = 1.0
        self._answered = 0
        self._until = 0.0
        self._had = 0

    def answered(self, rows: int) -> None:
        """A batch of so many rows has just been answered."""
        self._answered = rows

    def until(self, waiting: int, limit: int, now: float, profile: LatencyProfile) -> float:
        """Until when (in the clock of `now`) a batch of `waiting` rows should wait for company; 0 for not at all."""
        if self._until:
            if now < self._until and waiting < min(self._had + self._answered, limit):
                return self._until
            self._learn(waiting)
            return 0.0
        if not self._answered or not 0 < waiting < limit:
            self._answered = 0
            return 0.0
        alone = profile.seconds(waiting)
        wait = min(alone * SHARE, LONGEST)
        if wait >= RESOLUTION:
            together = min(waiting + self._answered, limit)
            saving = alone + profile.seconds(together - waiting) - profile.seconds(together)
            wait = min(saving * self.trust / 2, wait)
        if wait < RESOLUTION:
            self.trust = min(self.trust + FORGETTING, 1.0)
            self._answered = 0
            return 0.0
        self._had = waiting
        self._until = now + wait
        return self._until

    def _learn(self, waiting: int) -> None:
        came_back = min((waiting - self._had) / self._answered, 1.0)
        self.trust += (came_back - self.trust) * LEARNING
        self._answered = 0
        self._until = 0.0
