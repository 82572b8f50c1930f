"""How far a network is pruned, and how gradually."""

from dataclasses import dataclass

from training.compression.pruning.allocation import STEP, Ranking, Rules
from training.compression.pruning.cost import Cost
from training.compression.pruning.importance import Measure
from training.optimization.settings import FitSettings


@dataclass(frozen=True, kw_only=True)
class PruneSettings:
    """How far to prune, and how gradually.

    `keep` is the share of multiplications left at the end, `keep_parameters` that of weights; both are approached in
    `rounds` of equal ratio, and after each the network learns again by `fit`. What stays is decided by `importance`,
    estimated on `samples` training inputs where it is by the loss, over the whole network or `layer` by layer, as
    `ranking` says. Widths become multiples of `multiple`, and none falls below `narrowest`. `units` are what may go,
    such as heads; all where it is empty.
    """

    keep: float
    rounds: int
    fit: FitSettings
    keep_parameters: float = 1.0
    importance: Measure = "taylor"
    ranking: Ranking = "global"
    multiple: int = STEP
    narrowest: int = STEP
    units: tuple[str, ...] = ()
    samples: int = 512

    def __post_init__(self) -> None:
        if not 0 < self.keep < 1 or not 0 < self.keep_parameters <= 1:
            raise ValueError("keep, keep_parameters: must be shares, the first below 1")
        if min(self.rounds, self.samples) < 1:
            raise ValueError("rounds, samples: must be at least 1")
        _ = self.rules

    @property
    def rules(self) -> Rules:
        """Which sizes the network may get."""
        return Rules(multiple=self.multiple, narrowest=self.narrowest, ranking=self.ranking, units=self.units)

    def limit(self, whole: Cost, number: int) -> Cost:
        """What may be left of `whole` after round `number`, counted from 0."""
        done = (number + 1) / self.rounds
        return Cost(
            multiply_adds=round(whole.multiply_adds * self.keep**done),
            parameters=round(whole.parameters * self.keep_parameters**done),
        )
