"""What came of a variant that was tried."""

from dataclasses import dataclass
from typing import Self

from training.compression.search.budget import Budget, Objective
from training.compression.search.design import Design


@dataclass(frozen=True, kw_only=True)
class Gains:
    """How many times as good as the teacher, in turns on the same cores; below 1 is worse."""

    latency: float = 1.0
    throughput: float = 1.0
    size: float = 1.0

    def of(self, objective: Objective) -> float:
        """That of one objective."""
        found: float = getattr(self, objective)
        return found

    def reach(self, other: Self) -> bool:
        """Whether none of them is less than the other's."""
        return self.latency >= other.latency and self.throughput >= other.throughput and self.size >= other.size


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A variant by its `design`: its headline figure `score`, and the `drop` from the teacher's (see `drop`).

    `failed` says why it couldn't be made or measured; then the rest means nothing.
    """

    design: Design
    score: float = float("nan")
    drop: float = float("inf")
    gains: Gains = Gains(latency=0.0, throughput=0.0, size=0.0)
    failed: str = ""

    @property
    def name(self) -> str:
        """The variant's."""
        return self.design.name

    def within(self, budget: Budget) -> bool:
        """Whether no more is lost than may be."""
        return not self.failed and self.drop <= budget.max_drop

    def meets(self, budget: Budget) -> bool:
        """Whether as much is gained as is asked, too."""
        return self.within(budget) and self.gains.of(budget.objective) >= budget.at_least
