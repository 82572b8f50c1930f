"""A clock that goes on only if it is told to."""

from dataclasses import dataclass


@dataclass
class Clock:
    """Seconds since whenever; each look at it takes `tick` of them."""

    now: float = 0.0
    tick: float = 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now
