"""Which of the variants that were tried are worth having, and which is the one to have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from training.compression.search.budget import Budget, Objective, gained, sure
from training.compression.search.design import Network
from training.compression.search.numbers import Numbers
from training.compression.search.trial import Trial
from training.runtime import Runtime

ALIKE = 0.95
"""What of a gain may be missing for the sake of answers that don't depend on batch-mates."""
TOLD = 4
"""Decimals of what is lost: less than a hundredth of a percent is rounding."""


def front(trials: Sequence[Trial], objective: Objective) -> tuple[Trial, ...]:
    """The Pareto set of what is lost and what is gained: nothing is better in one and as good in the other.

    The most accurate first. Of equals the one that was tried first stays; what is lost is equal where it is told alike.
    """
    made = [one for one in trials if not one.failed]
    ordered = sorted(made, key=lambda one: (round(one.drop, TOLD), -gained(one.gain, objective)))
    kept: list[Trial] = []
    for one in ordered:
        if not kept or gained(one.gain, objective) > gained(kept[-1].gain, objective):
            kept.append(one)
    return tuple(kept)


def losing(trials: Sequence[Trial], objective: Objective) -> tuple[Trial, ...]:
    """The teacher in integers, by each runtime as it gains most, where that may be nothing: what is to be explained."""
    best: dict[Runtime, Trial] = {}
    for one in trials:
        if not one.failed and one.design.network == Network() and Numbers.of(one.design.numbers).integer:
            kept = best.get(one.design.runtime, one)
            best[one.design.runtime] = max(kept, one, key=lambda each: gained(each.gain, objective))
    return tuple(one for one in best.values() if sure(one.gain, objective).low <= 1)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The variant to have of those `within` the budget (see `choose`), and whether it gains as much as is asked.

    Where it doesn't, or even without: `nearest` gains as much as is asked and loses least, None if nothing does.
    `refuted` would have been chosen before it (see `settle`), in that order.
    """

    chosen: Trial
    met: bool
    nearest: Trial | None
    refuted: tuple[Trial, ...] = ()


def choose(trials: Sequence[Trial], budget: Budget) -> Choice:
    """The choice among `trials`, the teacher's among them, which loses nothing.

    Of those that meet the budget, or keep within it if none gains as much as is asked, it is the one that gains most,
    or what can't be told from it, since the interval of that has its gain, and loses less; of those that lose the same
    the first that was tried, as what is simpler is tried before. What may be slower than the teacher isn't as good as
    what surely isn't.
    """
    objective = budget.objective
    within = [one for one in trials if one.meets(budget)] or [one for one in trials if one.within(budget)]
    most = max(within, key=lambda one: gained(one.gain, objective))
    least = sure(most.gain, objective).low
    alike = [
        one
        for one in within
        if gained(one.gain, objective) >= least and sure(one.gain, objective).low >= min(least, 1.0)
    ]
    chosen = _steady(min(alike, key=lambda one: one.drop), within, objective)
    enough = [one for one in trials if not one.failed and gained(one.gain, objective) >= budget.at_least]
    nearest = min(enough, key=lambda one: (one.drop, -gained(one.gain, objective)), default=None)
    return Choice(chosen=chosen, met=chosen.meets(budget), nearest=nearest)


def settle(trials: Sequence[Trial], budget: Budget, stands: Mapping[str, bool]) -> Choice:
    """The same choice where the test part doesn't refute it; else the next one, among those that were tested.

    `stands` says of each variant that was tested, the teacher among them, whether its figures there leave what the
    trial said of it; what couldn't be tested doesn't. The teacher stands where it meets the budget. If nothing that
    stands does, the first choice stays, and doesn't meet it.
    """
    first = choice = choose(trials, budget)
    left = [one for one in trials if one.name in stands]
    refuted: list[Trial] = []
    while choice.met and not stands.get(choice.chosen.name, False):
        refuted.append(choice.chosen)
        left = [one for one in left if one.name != choice.chosen.name]
        choice = choose(left, budget)
    settled = choice if choice.met else replace(first, met=False)
    return replace(settled, nearest=first.nearest, refuted=tuple(refuted))


def _steady(chosen: Trial, within: Sequence[Trial], objective: Objective) -> Trial:
    """Instead of one whose answers depend on batch-mates, one that does as well and whose answers don't.

    It computes no fewer inputs a second, and gains about as much by the `objective`.
    """
    if not chosen.made.alone:
        return chosen
    steady = [
        one
        for one in within
        if not one.made.alone
        and one.gain.throughput >= chosen.gain.throughput
        and gained(one.gain, objective) >= ALIKE * gained(chosen.gain, objective)
    ]
    return max(steady, key=lambda one: gained(one.gain, objective), default=chosen)
