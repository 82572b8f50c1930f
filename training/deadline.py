"""Until when something may work: what isn't foreseen to be done by then isn't begun, and a fit ends."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from training.fitted import Epoch

LATE = 0.05
"""By which share of the whole time a fit that is under way may be foreseen to end late: its pace is never even."""


class TimeUp(Exception):
    """There is no time for something; the text says how much it would take. What was begun can be gone on with."""


@dataclass(frozen=True, kw_only=True)
class Deadline:
    """The moment `end` of a `clock`, both in seconds; `whole` is how long that was when it was set."""

    end: float = math.inf
    whole: float = 0.0
    clock: Callable[[], float] = time.monotonic

    @classmethod
    def of(cls, minutes: float | None, clock: Callable[[], float] = time.monotonic) -> Self:
        """From now on; None is for ever."""
        if minutes is None:
            return cls(clock=clock)
        return cls(end=clock() + 60 * minutes, whole=60 * minutes, clock=clock)

    @property
    def left(self) -> float:
        """Seconds until then, negative afterwards."""
        return self.end - self.clock()

    def before(self, seconds: float) -> Self:
        """A moment so much earlier: that time is for something else."""
        return replace(self, end=self.end - seconds)

    def check(self, seconds: float = 0.0) -> None:
        """Raise TimeUp if so many seconds aren't left."""
        left = max(self.left, 0.0)
        if left < seconds:
            raise TimeUp(f"would take about {_told(seconds)}, and {_told(left)} are left for it")
        if not left:
            raise TimeUp("no time is left for it")

    def pace(self, epochs: int) -> Callable[[Epoch], None]:
        """What a fit that begins now, of at most so many `epochs` in all, tells each of them that is done.

        Raises TimeUp as soon as, at the pace so far, it would end too late; the last epoch is never too late.
        """
        begun, seen = self.clock(), 0
        bound = self.before(-LATE * self.whole)

        def observe(epoch: Epoch) -> None:
            nonlocal seen
            seen += 1
            if left := epochs - epoch.number - 1:
                bound.check(left * (self.clock() - begun) / seen)

        return observe


OVER = Deadline(end=-math.inf)
"""By which only what is done already can be had."""


def _told(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
