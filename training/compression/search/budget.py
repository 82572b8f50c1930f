"""What may be lost, and what is to be gained by it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from training.errors import Immeasurable
from training.gain import Gain, Interval

Objective: TypeAlias = Literal["latency", "throughput", "size"]
OBJECTIVES: Mapping[Objective, str] = {
    "latency": "times as fast, in the worker, one input at a time",
    "throughput": "times as many inputs a second, each at its best batch size",
    "size": "times as small",
}
COUNTED: Mapping[Objective, Literal["compute", "throughput", "size"]] = {
    "latency": "compute",
    "throughput": "throughput",
    "size": "size",
}
"""What of a gain counts."""
MANY = 8


@dataclass(frozen=True, kw_only=True)
class Budget:
    """At most `max_drop` of the headline figure may be lost, as a share of the teacher's; the `objective` is to gain.

    `at_least` is how many times as good as the teacher the chosen variant has to be; `minutes` is how long may be
    searched, None for as long as there is something left to try.
    """

    max_drop: float = 0.01
    objective: Objective = "latency"
    at_least: float = 1.0
    minutes: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 1:
            raise ValueError("max_drop: must be a share, at least 0 and below 1")
        if self.objective not in OBJECTIVES:
            raise ValueError(f"objective: must be one of {', '.join(OBJECTIVES)}")
        if not 0 < self.at_least < math.inf:
            raise ValueError("at_least: must be positive and finite")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError("minutes: must be positive")

    @property
    def rows(self) -> int:
        """How many inputs at once it is told of what a variant takes: what is slower for one may be faster for many."""
        return 1 if self.objective == "latency" else MANY


def drop(teacher: float, variant: float, *, smaller: bool) -> float:
    """What of the teacher's figure is lost, as a share of it: negative if the variant is better.

    `smaller` figures are the better ones where the figure is an error. Raises Immeasurable where the teacher's is 0.
    """
    if teacher == 0:
        raise Immeasurable(
            "the teacher's headline figure is exactly 0, and of nothing no share can be lost; give more data, or data"
            " that it doesn't answer all right or all wrong"
        )
    lost = variant - teacher if smaller else teacher - variant
    return lost / abs(teacher)


def gained(gain: Gain, objective: Objective) -> float:
    """What of a gain counts."""
    counted: float = getattr(gain, COUNTED[objective])
    return counted


def sure(gain: Gain, objective: Objective) -> Interval:
    """Between what and what that is."""
    return gain.interval(COUNTED[objective])
