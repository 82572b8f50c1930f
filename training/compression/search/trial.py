"""What came of a variant that was tried."""

from dataclasses import dataclass

from training.compression.search.budget import Budget, gained
from training.compression.search.design import Design
from training.compression.search.made import Made
from training.gain import Gain

NEW, NOTHING = Made(), Gain(size=0.0, compute=0.0, latency=0.0, throughput=0.0)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A variant by its `design`: its headline figure `score`, and the `drop` from the teacher's (see `drop`).

    `made` says what became of its nodes. `failed` says why it couldn't be made or measured; then the rest means
    nothing.
    """

    design: Design
    score: float = float("nan")
    drop: float = float("inf")
    gain: Gain = NOTHING
    made: Made = NEW
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
        return self.within(budget) and gained(self.gain, budget.objective) >= budget.at_least
