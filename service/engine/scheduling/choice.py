"""On which of several devices the next batch is computed: where it is predicted to be finished first.

A batch may wait for a fast device that is busy while a slow one is idle: it does if, waiting there, it would be
finished earlier than if it were started on the slow one now. What waits behind it may still be worth the slow one's
time, so that takes rows from the queue behind all that the fast ones will have finished by then.

Source: H. Topcuoglu, S. Hariri, M. Wu, "Performance-Effective and Low-Complexity Task Scheduling for Heterogeneous
Computing", IEEE TPDS 2002: earliest finish time, for batches that are alike.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence

from service.engine.exchange import Exchange
from service.engine.scheduling.station import Station

_SOONEST = 1e-3
"""Seconds after which a decision to wait is looked at again, at least."""


class Choice:
    """Owns the decision between stations, and a timer for when a decision to wait is to be looked at again.

    Stations without a profile can't be compared: then whoever is idle takes the next batch, in the configured order.
    """

    def __init__(self, stations: Sequence[Station], wake: Callable[[], None]) -> None:
        self._stations = stations
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._comparable = all(station.profile for station in stations)

    def next(self, rows: int, size: int) -> Station | None:
        """Where a batch should be started now, when `rows` wait and a batch has about `size` of them; None to wait."""
        idle = [station for station in self._stations if not station.claiming and station.idle()]
        if not idle or not self._comparable:
            return idle[0] if idle else None
        now = time.monotonic()
        best = min(idle, key=lambda station: _finish(station, now, size))
        if rows > self._spoken_for(best, now, size):
            return best
        self._look_again(now)
        return None

    def left_for(self, station: Station, waiting: Sequence[Exchange], now: float, size: int) -> Sequence[Exchange]:
        """Of `waiting`, in its order, what isn't better left to other stations."""
        skip = self._spoken_for(station, now, size) if self._comparable else 0
        for number, exchange in enumerate(waiting):
            skip -= exchange.rows
            if skip < 0:
                return waiting[number:]
        return ()

    def is_fastest(self, station: Station) -> bool:
        """Whether no other station that works would be quicker, so that what is too late here is too late."""
        mine = _seconds(station, 1)
        return all(_seconds(other, 1) >= mine for other in self._stations if other.working)

    def stop(self) -> None:
        """Look at nothing again."""
        if self._timer:
            self._timer.cancel()

    def _spoken_for(self, station: Station, now: float, size: int) -> int:
        """Rows that busy stations will have finished before `station` could finish one batch that it starts now."""
        finish = _finish(station, now, size)
        rows = 0
        for other in self._stations:
            if other is not station:
                each = _seconds(other, size)
                rows += size * sum([max(math.ceil((finish - free) / each) - 1, 0) for free in _busy(other, now, each)])
        return rows

    def _look_again(self, now: float) -> None:
        """When the first busy instance should have ended: if it hasn't, the prediction was wrong."""
        ends = [end for station in self._stations for end in station.free_at(now) if end > now]
        self.stop()
        self._timer = self._loop.call_later(max(min(ends, default=now) - now, _SOONEST), self._wake)


def _busy(station: Station, now: float, seconds: float) -> list[float]:
    """When the instances that can't start now will be able to; a station that waits for tokens has no other."""
    free = station.free_at(now)
    if station.claiming:
        late = station.delay(seconds)
        return [max(one, now + late) for one in free]
    return [one for one in free if one > now]


def _finish(station: Station, now: float, size: int) -> float:
    free = station.free_at(now)
    return (free[0] if free else math.inf) + _seconds(station, size)


def _seconds(station: Station, size: int) -> float:
    """What a batch takes there; also if none has been computed there for long, since this isn't about admitting it."""
    return station.profile.expected(size) if station.profile else 0.0
