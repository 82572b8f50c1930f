"""Which variants are tried, in which order: what costs nothing but measuring first, then networks that have to learn.

Every trial is the subject's to make and measure; it keeps what it did, so that a search that was killed goes through
the same trials again without doing them again, and comes to what is new. What is tried next depends on nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from training.compression.search.budget import Budget, gained
from training.compression.search.descent import Descent
from training.compression.search.design import FLOAT, Design, Network
from training.compression.search.numbers import HALF, STATIC, Numbers
from training.compression.search.refinement import Refinement
from training.compression.search.trial import Trial
from training.runtime import Runtime

WAYS = 2
"""Combinations of numbers and runtime, of those that did best for the teacher, that every network is tried in."""
HOPELESS = 3.0
"""A way that loses so many times what may be lost comes after those that don't, whatever it gains."""
Ended = Literal["done", "time", "interrupted"]


class Subject(Protocol):
    """What is compressed: it makes variants, and says what they are worth."""

    @property
    def routes(self) -> Mapping[str, Sequence[str]]:
        """How a smaller network can be had, and the remedies for one that loses a little too much, cheapest first.

        None where nothing can be learnt.
        """
        ...

    @property
    def first(self) -> Sequence[Network]:
        """Networks that somebody found to be good for what they take: they are tried before others."""
        ...

    @property
    def aware(self) -> bool:
        """Whether networks can be trained for integers (`AWARE`)."""
        ...

    @property
    def numbers(self) -> Sequence[str]:
        """The methods of quantization that its graphs have something for."""
        ...

    @property
    def runtimes(self) -> Sequence[Runtime]:
        """What may compute it, the usual one first."""
        ...

    def tried(self, designs: Sequence[Design]) -> Sequence[Trial]:
        """These variants, made and measured on validation inputs beside the teacher, all in turns.

        What can't be made is a trial that `failed`; what there is no time for is none.
        """
        ...


@dataclass
class Search:
    """One search: its trials so far, in their order."""

    subject: Subject
    budget: Budget
    told: Callable[[Trial], None] = lambda _: None
    trials: list[Trial] = field(default_factory=list)
    _short: bool = False

    def run(self) -> Ended:
        """Try until nothing is left that there is time for. The teacher itself is always among the trials."""
        try:
            self._explore()
        except KeyboardInterrupt:
            if not self.trials:
                raise
            return "interrupted"
        return "time" if self._short else "done"

    def _explore(self) -> None:
        self._try([Design()])
        # 16-bit floats are only smaller.
        methods = [one for one in self.subject.numbers if one != HALF or self.budget.objective == "size"]
        self._try([Design(numbers=numbers) for numbers in methods])
        usual, *others = self.subject.runtimes
        Refinement(budget=self.budget, runtime=usual, trials=self.trials, attempt=self._try).run()
        files = [FLOAT, *self._promising(usual)]
        self._try([Design(numbers=numbers, runtime=one) for one in others for numbers in files if _fits(numbers, one)])
        Descent(
            first=self.subject.first,
            routes=self.subject.routes,
            aware=self.subject.aware,
            budget=self.budget,
            ways=self._ways(),
            trials=self.trials,
            attempt=self._try,
        ).run()

    def _ways(self) -> Sequence[tuple[str, Runtime]]:
        """Floating point by the usual runtime, and what gained most of the teacher's other forms."""
        usual = (FLOAT, self.subject.runtimes[0])
        best = sorted(
            _best_of_twins(
                one
                for one in self.trials
                if not one.failed and self._gain(one) > self._plain(one) and _way(one) != usual
            ),
            key=lambda one: (not one.drop <= HOPELESS * self.budget.max_drop, -self._gain(one)),
        )
        return [usual, *(_way(one) for one in best[:WAYS])]

    def _promising(self, usual: Runtime) -> Sequence[str]:
        """The integers that gain most by the `usual` runtime, and those that do within the budget.

        Others compute in integers what has learnt its ranges; whatever has those of each batch they turn into floats
        first. What was reverted was by the times of the usual runtime, which mean nothing to another.
        """
        found = _best_of_twins(
            one for one in self.trials if not one.failed and one.design.runtime == usual and _learnt(one)
        )
        ranked = sorted(found, key=lambda one: -self._gain(one))
        within = [one for one in ranked if one.within(self.budget)]
        return list(dict.fromkeys(one.design.numbers for one in (*ranked[:1], *within[:1])))

    def _plain(self, trial: Trial) -> float:
        """What has to be beaten: where integers were reverted, what they gained before, and else the teacher."""
        plain = replace(trial.design, numbers=str(replace(Numbers.of(trial.design.numbers), reverted=False)))
        return max((1.0, *(self._gain(one) for one in self.trials if one.design == plain != trial.design)))

    def _gain(self, trial: Trial) -> float:
        return gained(trial.gain, self.budget.objective)

    def _try(self, designs: Sequence[Design]) -> None:
        if not designs:
            return
        found = self.subject.tried(designs)
        self._short |= len(found) < len(designs)
        for trial in found:
            self.trials.append(trial)
            self.told(trial)


def _best_of_twins(trials: Iterable[Trial]) -> Sequence[Trial]:
    """Of trials of the teacher that differ by their ranges alone the one that loses least; what they gain is chance."""
    best: dict[tuple[str, Runtime], Trial] = {}
    for one in trials:
        twins = (Numbers.of(one.design.numbers).graph, one.design.runtime)
        best[twins] = min(best.get(twins, one), one, key=lambda each: each.drop)
    return list(best.values())


def _way(trial: Trial) -> tuple[str, Runtime]:
    return trial.design.numbers, trial.design.runtime


def _fits(numbers: str, runtime: Runtime) -> bool:
    """Whether a precision means anything for these numbers: integers have theirs."""
    return numbers == FLOAT or runtime.precision == "f32"


def _learnt(trial: Trial) -> bool:
    numbers = Numbers.of(trial.design.numbers)
    return numbers.method.startswith(STATIC) and not numbers.reverted
