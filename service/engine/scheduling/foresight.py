"""What can be foreseen of a model's queue: when a request would be finished, and how much work is left."""

import time
from collections.abc import Callable, Iterable

from service.engine.exchange import Exchange
from service.engine.profile import LatencyProfile
from service.engine.scheduling.batch import Batch
from service.errors import Infeasible

MARGIN = 0.06
"""Share of a request's time that a prediction leaves for what nobody foresees."""
HASTE = 2.5
"""Seconds: whoever has less shouldn't have to wait for a batch that is larger than is worth it."""
_ANSWERING = 1e-3
"""Seconds from the end of a batch to the last of its answers, about."""
FRONT = 1e-4
"""Seconds that a request keeps the front busy, at most."""
_COMFORT = 16.0
"""Others on the device and a slow moment are covered by this factor."""
_LEARNING = 0.1
"""Share by which what is known of lengths follows a new batch."""


class Foresight:
    """Owns the profile of a model and the times that its batches in flight will take. All times are in seconds.

    The profile is that of the longest inputs; batches of shorter ones take the share of it that is their weight. Those
    that wait are taken to be as long as those computed lately were, and as the longest until one was. `delay` tells how
    much longer so many seconds of computing take because others use the device too. `instances` work side by side; with
    `joins` requests share batches.
    """

    def __init__(
        self, profile: LatencyProfile, *, instances: int, joins: bool, delay: Callable[[float], float]
    ) -> None:
        self.profile = profile
        self._instances = instances
        self._joins = joins
        self._delay = delay
        self._times: dict[Batch, tuple[float, float]] = {}  # when it starts and ends
        self._rows = 0  # of all these
        self._changes = 0  # batches that have started or ended
        self._weight = 1.0
        self.hurried = 0.0
        """When somebody in haste came last, admitted or not."""

    @property
    def worker_is_slower(self) -> bool:
        """Whether a row takes its worker longer than a request takes the front: then the worker should never wait."""
        return self.profile.seconds_per_row() > FRONT

    @property
    def mark(self) -> object:
        """Something else when a batch has started or ended, and with that the prediction has changed."""
        return self._changes

    def ends(self) -> Iterable[float]:
        """When each batch in flight should end."""
        return [end for _, end in self._times.values()]

    def started(self, batch: Batch, start: float) -> None:
        """A worker has it, and will start it then: now, or after another batch."""
        self._times[batch] = (start, start + self.profile.seconds(batch.rows) * batch.weight)
        self._rows += batch.rows
        self._changes += 1
        self._weight += (batch.weight - self._weight) * _LEARNING

    def ended(self, batch: Batch, seconds: float) -> None:
        """It has taken so long; 0 for one that wasn't computed to its end."""
        del self._times[batch]
        self._rows -= batch.rows
        self._changes += 1
        if seconds:
            self.profile.observe(batch.rows, seconds / batch.weight)

    def backlog(self, waiting: int) -> float:
        """What `waiting` rows and the batches in flight will take in one instance after the other."""
        return waiting * self._per_row() + self._in_flight(time.monotonic())

    def is_plenty(self, rows: int, allowed: float) -> bool:
        """Whether `allowed` seconds are so much for `rows` rows, all that wait included, that nothing else need be
        looked at: one instance that computes them and those in flight row by row, at the pace of the last batch, takes
        less than a sixteenth of it.
        """
        return (rows + self._rows) * self.profile.seconds_alone * _COMFORT < allowed

    def hurry(self, now: float) -> None:
        """Somebody in haste has come."""
        self.hurried = now

    def check(self, rows: int, ahead: int, now: float, deadline: float, weight: float = 1.0) -> None:
        """Raises Infeasible unless `rows` rows of this weight, behind `ahead` others, will be done by `deadline`."""
        if deadline - now < HASTE:
            self.hurry(now)
        check_time(self.wait(rows, ahead, now, weight), ahead, now, deadline)

    def wait(self, rows: int, ahead: int, now: float, weight: float = 1.0) -> float:
        """Seconds until `rows` rows of this weight, behind `ahead` others, will be done."""
        free, per_row, own = self.parts(rows, ahead, now, weight)
        return free + ahead * per_row + own

    def parts(self, rows: int, ahead: int, now: float, weight: float = 1.0) -> tuple[float, float, float]:
        """What a request of `rows` rows of this weight, behind `ahead` others, has to wait for, others on the device
        included: seconds until the instances are free, for each row ahead, and for its own batch.
        """
        profile = self.profile
        batch = min(ahead + rows, max(profile.best_rows, rows)) if self._joins else rows
        own = profile.seconds(batch) * weight
        free, per_row = self._in_flight(now) / self._instances, self._per_row() / self._instances
        alone = free + ahead * per_row + own
        slower = 1 + self._delay(alone) / alone
        return free * slower, per_row * slower, own * slower

    def _per_row(self) -> float:
        """What a waiting row costs: its share of the best batch, or a batch of its own where none are joined."""
        alone = self.profile.seconds_per_row() if self._joins else self.profile.seconds(1)
        return alone * self._weight

    def _in_flight(self, now: float) -> float:
        return sum([max(end - max(start, now), 0.0) for start, end in self._times.values()])


def check_time(wait: float, ahead: int, now: float, deadline: float) -> None:
    """Raises Infeasible unless what takes `wait` seconds from `now` is answered in time."""
    allowed = deadline - now
    lack = wait + _ANSWERING - allowed * (1 - MARGIN)
    if lack > 0:
        raise Infeasible(
            f"would be finished in {milliseconds(wait)}, and {milliseconds(allowed)} are left;"
            f" {ahead} rows are to be computed before",
            lack,
        )


def milliseconds(seconds: float) -> str:
    """A time for a message; one that would be rounded to nothing with two digits."""
    value = seconds * 1e3
    return f"{value:.1f} ms" if abs(value) >= 0.1 or not value else f"{value:.2g} ms"


def due(exchange: Exchange) -> float:
    """When it should have been computed to be answered in time, by the same margins as at its admission."""
    return exchange.deadline - (exchange.deadline - exchange.admitted) * MARGIN - _ANSWERING
