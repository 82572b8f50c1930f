"""What is tried of the teacher's integers besides: floats where integers lose too much, or cost more than they save."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from training.compression.quantization.mixed_precision import fewest
from training.compression.search.budget import Budget, gained
from training.compression.search.design import Design, Network
from training.compression.search.numbers import STATIC, Numbers
from training.compression.search.trial import Trial
from training.runtime import Runtime

MIXES = 6
"""Trials of mixed precision: up to 16 layers are found to be needed, and up to 4 exactly."""


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """Goes by the `trials` so far, among which is then whatever it made an `attempt` at, if there was time for it."""

    budget: Budget
    runtime: Runtime
    trials: Sequence[Trial]
    attempt: Callable[[Sequence[Design]], None]

    def run(self) -> None:
        """Mix floats among integers that lose too much, and try the best without those that cost time."""
        self._mix()
        if self.budget.objective != "size":
            self._revert()

    def _mix(self) -> None:
        """Of the static integers that lose least, unless what keeps to the budget gains as much as they do."""
        static = [one for one in self._integers if one.design.numbers.startswith(STATIC) and self._gain(one) > 1]
        most = max((self._gain(one) for one in static), default=0.0)
        if not static or any(one.within(self.budget) and self._gain(one) >= most for one in self._integers):
            return
        method = min(static, key=lambda one: one.drop).design.numbers

        def enough(kept: int) -> bool:
            """Also where so many are all that there are, leave nothing that would be gained, or there is no time."""
            found = self._tried(Numbers(method=method, kept=kept))
            return not found or bool(found.failed) or found.within(self.budget) or self._gain(found) <= 1

        fewest(enough, most_trials=MIXES)

    def _revert(self) -> None:
        """Of what gains most, within the budget if anything is."""
        if self._integers:
            best = max(self._integers, key=lambda one: (one.within(self.budget), self._gain(one)))
            self._tried(replace(Numbers.of(best.design.numbers), reverted=True))

    @property
    def _integers(self) -> Sequence[Trial]:
        """The trials of the teacher in integers by the usual runtime."""
        return [
            one
            for one in self.trials
            if one.design.network == Network()
            and one.design.runtime == self.runtime
            and Numbers.of(one.design.numbers).integer
            and not one.failed
        ]

    def _tried(self, numbers: Numbers) -> Trial | None:
        design = Design(numbers=str(numbers))
        self.attempt([design])
        return next((one for one in self.trials if one.design == design), None)

    def _gain(self, trial: Trial) -> float:
        return gained(trial.gain, self.budget.objective)
