"""The highest rate that a server holds, where whether it does in one window of time is partly chance.

A rate is held when two windows say so before two say that it isn't. Where the generator was late the window says
nothing; a rate at which it always is is beyond what can be measured, and ends the search as one that isn't held. One
bisection doubles its steps until it has a rate that is held and one that isn't (Bentley and Yao 1976, "An almost
optimal algorithm for unbounded searching"), then halves what is between. Several say how far one can be trusted.
"""

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

AGREED = 2
MOST_STEP = 4.0
"""A window far beyond what can be done lasts for as long as its requests take to be sent."""

TRIES = 4
"""Windows at a rate that the generator may spoil before that rate is given up."""

STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""97.5th percentile of Student's t, by the number of bisections."""


class Verdict(enum.StrEnum):
    """What a window says of its rate; nothing where the generator itself was late."""

    HELD = "held"
    BROKE = "broke"
    LATE = "late"


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Some seconds at a rate. `latency` in seconds, at the percentile; infinite when too many requests failed."""

    rate: float
    latency: float
    verdict: Verdict
    why: str = ""


class SearchError(Exception):
    """There is no such rate; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bracket:
    """What one bisection came to: a rate that was held, and a little above it one that wasn't, or couldn't be measured
    for the generator's own sake.
    """

    held: float
    broke: float
    is_measured: bool = True

    @property
    def middle(self) -> float:
        """Between them, in proportion."""
        return math.sqrt(self.held * self.broke)


@dataclass(frozen=True, kw_only=True, slots=True)
class Capacity:
    """The highest rate that is held, and where another search of as many bisections finds it 19 times in 20."""

    rate: float
    low: float
    high: float

    @classmethod
    def of(cls, brackets: Sequence[Bracket]) -> "Capacity":
        """The mean of two to ten brackets' middles, in proportion, with the prediction interval of another such mean.

        Hahn and Meeker, "Statistical Intervals" (1991), section 4.8; a bracket's own width counts as spread, too.
        """
        count = len(brackets)
        middles = [math.log(one.middle) for one in brackets]
        mean = sum(middles) / count
        variance = sum((one - mean) ** 2 for one in middles) / (count - 1)
        variance += sum(math.log(one.broke / one.held) ** 2 for one in brackets) / count / 12
        half = STUDENT[count] * math.sqrt(variance * 2 / count)
        return cls(rate=math.exp(mean), low=math.exp(mean - half), high=math.exp(mean + half))


class Search:
    """Owns the windows that were measured. `window` measures one at a rate, with a seed of its own."""

    def __init__(self, window: Callable[[float, int], Window], *, least: float, seed: int = 0) -> None:
        self.windows: list[Window] = []
        self._spoilt: set[float] = set()
        self._window = window
        self._least = least
        self._seed = seed

    def brackets(self, start: float, count: int) -> list[Bracket]:
        """So many bisections, the first from `start`, others from where the last one ended. Raises SearchError."""
        found = [self.bisect(start, step=1.5)]
        while len(found) < count:
            found.append(self.bisect(found[-1].middle, step=1.15))
        return found

    def bisect(self, start: float, *, step: float, precision: float = 0.04) -> Bracket:
        """A bracket no wider than `precision`, in proportion. Raises SearchError."""
        rate, factor = start, step
        is_held = self.holds(rate)
        following = rate * factor if is_held else rate / factor
        while self.holds(following) == is_held:
            rate, factor = following, min(factor**2, MOST_STEP)
            following = rate * factor if is_held else rate / factor
            if following < self._least:
                why = "can be measured" if rate in self._spoilt else "are held"
                raise SearchError(f"not even {rate:.3g} requests per second {why}: {self.windows[-1].why}")
        held, broke = (rate, following) if is_held else (following, rate)
        while broke / held > 1 + precision:
            middle = math.sqrt(held * broke)
            if self.holds(middle):
                held = middle
            else:
                broke = middle
        return Bracket(held=held, broke=broke, is_measured=broke not in self._spoilt)

    def holds(self, rate: float) -> bool:
        """What most windows at this rate say."""
        votes = {Verdict.HELD: 0, Verdict.BROKE: 0, Verdict.LATE: 0}
        while max(votes[Verdict.HELD], votes[Verdict.BROKE]) < AGREED and votes[Verdict.LATE] < TRIES:
            self._seed += 1
            self.windows.append(self._window(rate, self._seed))
            votes[self.windows[-1].verdict] += 1
        if votes[Verdict.LATE] == TRIES:
            self._spoilt.add(rate)
        return votes[Verdict.HELD] == AGREED
