"""Which smaller networks are tried: by each route smaller and smaller, then remedies for those that are nearly enough.

A network has to learn before it can be judged, which takes minutes where all else takes seconds. So a route ends where
too much is lost or nothing is gained any more, the next one begins with the share that one before it came to, and a
remedy is for a network that would gain more than all that keep to the budget so far.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from training.compression.search.budget import Budget, gained
from training.compression.search.design import FLOAT, Design, Network
from training.compression.search.numbers import AWARE, STATIC
from training.compression.search.trial import Trial
from training.runtime import Runtime

GAINS = 1.05
"""How many times as much a network has to gain as another one for that to be more."""
PATIENCE = 2
"""Networks of a route in a row that may gain nothing, or not be: a smaller one may yet have fewer steps, or exist."""
NEAR = 4.0
"""Times what may be lost, up to which remedies are tried."""


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Tries networks by `attempt`, which adds to `trials`, in `ways` of numbers and runtime.

    `first` are networks that come before others. `routes` have the remedies of each; with `aware`, networks can be
    trained for integers. What is tried depends on the trials alone.
    """

    first: Sequence[Network]
    routes: Mapping[str, Sequence[str]]
    aware: bool
    budget: Budget
    ways: Sequence[tuple[str, Runtime]]
    trials: Sequence[Trial]
    attempt: Callable[[Sequence[Design]], None]

    def run(self) -> None:
        """All routes; then, for the network of each that came nearest, remedies until one is enough."""
        self._learn_integers(Network())
        for network in self.first:
            self._try(network)
        for route in self.routes:
            # What is larger than a network that keeps to the budget would gain less.
            reached = Network(route=route, share=self._reached())
            self._descend(reached.smaller if reached.share == 1 or reached.between else reached)
        for network in self._nearest():
            for remedy in self.routes[network.route]:
                if self._promises(network):
                    self._descend(replace(network, remedy=remedy))

    def _descend(self, network: Network | None) -> None:
        """Networks from this one on, until one loses too much; then, without a remedy, one between the last two."""
        idle = 0
        while network is not None and idle < PATIENCE:
            gain = self._gain(network.larger)
            self._try(network)
            if self.budget.max_drop < self._drop(network) < math.inf:
                if not network.remedy and self._promises(network):
                    self._try(replace(network, share=round(math.sqrt(network.larger.share * network.share), 2)))
                return
            if self._tried(network):  # what there was no time for says nothing of what takes less
                idle = 0 if self._gain(network) > GAINS * gain else idle + 1
            network = network.smaller

    def _try(self, network: Network) -> None:
        if self._tried(network):
            return  # it was one of the first
        self.attempt([Design(network=network, numbers=numbers, runtime=runtime) for numbers, runtime in self.ways])
        self._learn_integers(network)

    def _tried(self, network: Network) -> bool:
        return any(one.design.network == network for one in self.trials)

    def _learn_integers(self, network: Network) -> None:
        """Where static integers gain more than floats, but lose too much or much of what may be lost: learn them."""
        made = [one for one in self._made(network) if one.design.numbers.startswith((FLOAT, STATIC))]
        floats = [one for one in made if one.design.numbers == FLOAT and one.within(self.budget)]
        integers = [one for one in made if one.design.numbers != FLOAT]
        if not self.aware or not floats or not integers:
            return
        best = max(integers, key=self._gained)
        lost = best.drop - min(one.drop for one in floats)
        enough = best.within(self.budget) and lost <= self.budget.max_drop / 2
        if not enough and self._gained(best) > max(map(self._gained, floats)):
            self.attempt([replace(best.design, numbers=AWARE)])

    def _nearest(self) -> Sequence[Network]:
        """Of each route the network that loses least of those that lose a little too much; these in the same order."""
        least: dict[str, tuple[float, Network]] = {}
        for network in dict.fromkeys(one.design.network for one in self.trials):
            lost = self._drop(network)
            if self.budget.max_drop < lost <= NEAR * self.budget.max_drop and self._promises(network):
                least[network.route] = min(least.get(network.route, (lost, network)), (lost, network), key=_first)
        return [network for _, network in sorted(least.values(), key=_first)]

    def _reached(self) -> float:
        """The smallest share of which a network keeps to the budget; the teacher always does."""
        held = [one.design.network for one in self.trials if one.within(self.budget)]
        return min(one.share for one in held if not one.between or one in self.first)

    def _promises(self, network: Network) -> bool:
        """Whether it would be more than all that keep to the budget."""
        best = max(self._gained(one) for one in self.trials if one.within(self.budget))
        return self._gain(network) > GAINS * best

    def _gain(self, network: Network) -> float:
        """The most that any form of it gains."""
        return max(map(self._gained, self._made(network)), default=0.0)

    def _drop(self, network: Network) -> float:
        """The least that any form of it loses."""
        return min((one.drop for one in self._made(network)), default=math.inf)

    def _made(self, network: Network) -> Sequence[Trial]:
        return [one for one in self.trials if one.design.network == network and not one.failed]

    def _gained(self, trial: Trial) -> float:
        return gained(trial.gain, self.budget.objective)


def _first(found: tuple[float, Network]) -> float:
    return found[0]
