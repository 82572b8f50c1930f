"""The instances of one model on one device."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial

from service.engine.device import OWNED, Device
from service.engine.profile import LatencyProfile
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.foresight import FRONT, Foresight
from service.workers.instance import Instance

AHEAD = 0.85
"""Share of a batch's predicted time after which the next one may be sent to its worker."""
SHORTEST = 0.01
"""Seconds that a batch takes at least for that: the next is decided by what waits then, so it is decided late, and
timers aren't finer than a millisecond.
"""


class Station:
    """Owns a model's claim on one device, and how long its batches take there. Implements `Claimant`.

    Each batch takes `tokens` of the device, and is padded to a number of rows out of `buckets`, if there are any.
    Without a `profile` nothing is foreseen. `share` is the part of the model's queue that will be computed here.
    """

    def __init__(
        self,
        device: Device,
        instances: Sequence[Instance[Batch]],
        *,
        name: str,
        tokens: int,
        profile: LatencyProfile | None = None,
        buckets: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.instances = list(instances)
        self.cost = tokens
        self.profile = profile
        self.foresight: Foresight | None = None
        self.share = 1.0
        self.claiming = False  # waits for the device's tokens
        self._ahead = 0  # batches that were sent before the tokens were theirs
        self._device = device
        self.buckets = buckets
        self._granted: Callable[[Station], None] = Station.release
        self._waiting: Callable[[], int] = int

    def open(
        self, granted: Callable[["Station"], None], waiting: Callable[[], int], *, joins: bool, pads: bool = True
    ) -> None:
        """From now on `granted` is told when the device's tokens are there; `waiting` tells the rows of the queue.

        With `joins` requests share batches. Without `pads` batches are computed as they are, whatever the buckets.
        """
        self._granted, self._waiting = granted, waiting
        if not pads:
            self.buckets = ()
        if self.profile:
            delay = partial(self._device.delay, self)
            self.foresight = Foresight(self.profile, instances=len(self.instances), joins=joins, delay=delay)

    # -- its instances

    @property
    def working(self) -> int:
        """How many of them take batches."""
        return sum([instance.ready for instance in self.instances])

    @property
    def cpu_seconds(self) -> float:
        """Processor time that they have taken; from any thread."""
        return sum([instance.usage.cpu_seconds for instance in self.instances])

    def worthwhile(self, limit: int) -> int:
        """The largest batch that is worth computing here: of a model that keeps its worker busy, one of the best size.

        A larger one would only take longer, and leave fewer requests to be the next while its answers are written.
        """
        return min(limit, self.profile.best_rows) if self.profile and self._is_slow else limit

    def fullest(self, now: float, waiting: int, in_flight: int) -> tuple[int, int]:
        """The batch that computes most in a second here, when so many rows wait and are in flight: for those who have
        time, and for those in haste. One of both is 0, since who has time doesn't go before who may come in haste.

        Both are 0 while another model would have to wait for it, where the front is what is slower, and where so few
        wait that it would be none of those that are worth more than the usual ones. Who has time gets half of all rows
        at most, so that the others are the next batch.
        """
        if not (self.profile and self.foresight and self._is_slow and self._device.is_owned(self)):
            return 0, 0
        tuning, usual = self.profile.tuning, self.profile.best_rows
        if now - self.foresight.hurried <= OWNED:
            size = min(tuning.usual, waiting)
            return 0, size if size > usual else 0
        most = min(waiting, (waiting + in_flight) // 2)
        size = tuning.next()
        if size > most:
            size = tuning.within(most)
            return size if size > usual else 0, 0
        return size, 0

    @property
    def _is_slow(self) -> bool:
        return self.profile is not None and self.profile.seconds_per_row() > FRONT

    def idle(self) -> Instance[Batch] | None:
        """One that a batch can be given to now."""
        for instance in self.instances:
            if instance.idle:
                return instance
        return None

    def padded(self, rows: int) -> int:
        """The rows that a batch of `rows` is computed as."""
        buckets = self.buckets
        return buckets[bisect_left(buckets, rows)] if buckets and rows <= buckets[-1] else rows

    def free_at(self, now: float) -> list[float]:
        """When each working instance will have done what it was given, the soonest first; `now` for those that have.

        What takes longer than was foreseen is expected to take as long again as it is late.
        """
        working = self.working
        ends = [abs(end - now) + now for end in self.foresight.ends()] if self.foresight else []
        return sorted([now] * working + ends)[-working:] if working else []

    # -- its device

    def claim(self) -> bool:
        """Take the tokens of one batch; when that isn't possible now, `granted` is called once it is."""
        self.claiming = not self._device.claim(self)
        return not self.claiming

    def release(self) -> None:
        """Give the tokens of one batch back, that weren't used."""
        self._device.release(self)

    def finished(self, seconds: float) -> None:
        """One batch is done, and has used its tokens for so long; the next has them, if it was sent ahead."""
        if self._ahead:
            self._ahead -= 1
            self._device.renew(self, seconds)
        else:
            self._device.release(self, seconds)

    def ahead_after(self, batch: Batch) -> float:
        """Seconds until its worker may be given another batch behind this one; 0 where that isn't worth a timer."""
        if not self.profile or len(self.instances) > 1 or self.instances[0].plan.in_flight > 1:
            return 0.0
        seconds = self.profile.seconds(batch.rows) * batch.weight
        return seconds * AHEAD if seconds > SHORTEST else 0.0

    def claim_ahead(self) -> bool:
        """Whether a batch may be sent behind one that is being computed, to have its tokens after it: only while
        nobody else uses the device, since it can't be called back.
        """
        if not self._device.is_alone(self):
            return False
        self._ahead += 1
        return True

    def withdraw_ahead(self) -> None:
        """There was none to send."""
        self._ahead -= 1

    def withdraw(self) -> None:
        """Nothing more is to be computed here."""
        self._device.withdraw(self)

    def delay(self, seconds: float) -> float:
        """How much longer so many seconds of computing take because others use the device too."""
        return self._device.delay(self, seconds)

    @property
    def backlog(self) -> float:
        """See `Claimant`."""
        return self.foresight.backlog(round(self._waiting() * self.share)) if self.foresight else 0.0

    def granted(self) -> None:
        """See `Claimant`."""
        self.claiming = False
        self._granted(self)
