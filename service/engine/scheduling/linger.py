"""How long a worker that has just become free waits for a fuller batch.

Clients that wait for their answers send the next request right after them. A worker that takes what is there at once
then alternates between small and large batches, and small ones cost more per row. So it lingers for a moment, but only
when something is waiting already, only for as long as a joint batch would save, and only while clients do come back.
A lone request never waits.

Besides, the configuration may want a delay. That is for a fuller batch, not for being late: it ends while there is time
to compute everybody.
"""

import asyncio
import time
from collections.abc import Callable

from service.engine.exchange import Exchange
from service.engine.profile import LatencyProfile
from service.engine.scheduling.foresight import due
from service.engine.scheduling.queue import RequestQueue
from service.engine.scheduling.station import Station

SHARE = 0.05
"""At most this share of the batch at hand's own time is spent on waiting."""
LONGEST = 0.005
RESOLUTION = 0.001
"""Seconds: timers aren't finer, so a shorter wait isn't worth one."""
LEARNING, FORGETTING = 0.2, 0.001
UNFORESEEN = 0.5
"""Share of a request's time that is left for computing where nobody knows how long that takes."""


class Linger:
    """Owns what is expected of clients, and the timer of a wait: `trust` is the share of answered rows that came back.

    `delay` is the wait that the configuration wants for the oldest request, in seconds; when a wait ends, `over` is
    called. Unless whoever comes next is `alike`, as long as those that wait, nothing is expected of them.
    """

    def __init__(self, delay: float = 0.0, over: Callable[[], None] = lambda: None, *, alike: bool = True) -> None:
        self.trust = 1.0
        self._delay = delay
        self._over = over
        self._alike = alike
        self._timer: asyncio.TimerHandle | None = None
        self._ends = 0.0
        self._answered = 0
        self._until = 0.0
        self._had = 0

    def answered(self, rows: int) -> None:
        """A batch of so many rows has just been answered."""
        self._answered = rows

    def holds(self, queue: RequestQueue, limit: int, station: Station) -> bool:
        """Whether what waits in `queue` for `station` should wait for company still; the end of that is watched."""
        rows, profile = queue.rows, station.profile
        if rows >= limit or queue.has_retries:
            return False
        now = time.monotonic()
        until = self.until(rows, limit, now, profile) if profile and self._alike else 0.0
        if self._delay:
            until = max(until, self._delayed_until(queue, station))
        if until <= now:
            return False
        if self._timer is None or until < self._ends:
            self.stop()
            self._ends = until
            self._timer = asyncio.get_running_loop().call_later(until - now, self._ended)
        return True

    def stop(self) -> None:
        """Watch nothing."""
        if self._timer:
            self._timer.cancel()

    def _ended(self) -> None:
        self._timer = None
        self._over()

    def _delayed_until(self, queue: RequestQueue, station: Station) -> float:
        """When the configured delay is over for the first of those that wait, or has to be, lest somebody be late."""
        seconds = station.profile.seconds(queue.rows) if station.profile else 0.0
        seconds += station.delay(seconds)
        return min([min(one.admitted + self._delay, _latest(one, seconds)) for one in queue], default=0.0)

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


def _latest(exchange: Exchange, seconds: float) -> float:
    """When a batch that takes so long (0: nobody knows) has to be started for this one's sake."""
    left = seconds or (exchange.deadline - exchange.admitted) * UNFORESEEN
    return min(due(exchange) - left, exchange.expires - 2 * RESOLUTION)
