"""Which variant is served under the family's name, and why: decided by measured figures and a budget, never by hope."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from training.evaluate import Measured
from training.gain import ITSELF

SIGNIFICANT = 0.05
"""A paired test below this says that a variant is worse than its parent, and not just unlucky."""
ROUNDING = 1e-9
"""Differences below this are those of binary fractions: they decide nothing."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What the chosen variant must keep, and what it must bring.

    `max_accuracy_drop` (against the teacher) and `min_accuracy` are shares of test images. `min_speedup` is how many
    times as fast as the teacher it computes at batch 1, `min_shrink` how many times smaller its file is; at 1 the
    teacher itself may be chosen.
    """

    max_accuracy_drop: float = 0.01
    min_accuracy: float = 0.0
    min_speedup: float = 1.0
    min_shrink: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_accuracy_drop <= 1 or not 0 <= self.min_accuracy <= 1:
            raise ValueError("max_accuracy_drop, min_accuracy: must be shares")
        if min(self.min_speedup, self.min_shrink) <= 0:
            raise ValueError("min_speedup, min_shrink: must be positive")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The chosen variant, a sentence for every variant that says why (not), and whether the family meets its goal.

    If none meets it, `chosen` is the nearest miss and `goal` says what it lacks.
    """

    chosen: str
    reasons: Mapping[str, str]
    goal_met: bool
    goal: str


@dataclass(frozen=True, kw_only=True)
class Demand:
    """Something a variant must reach: `text` says what was found and asked, for people."""

    found: float
    wanted: float
    text: str

    @property
    def shortfall(self) -> float:
        """The share of what was wanted that is missing: 0 when it is all there, 1 when it couldn't be measured."""
        missing = self.wanted - self.found
        if missing <= ROUNDING:
            return 0.0
        return min(1.0, missing / self.wanted) if math.isfinite(missing) else 1.0


def choose(measured: Mapping[str, Measured], budget: Budget) -> Verdict:
    """Judge the variants, the first of which is the teacher.

    None that is slower than its parent, or worse than it, or made from one that is worse, meets every demand. Of those
    that do, the one with the highest throughput is chosen; if there is none, the nearest miss.
    """
    teacher = next(iter(measured.values()))
    missed = {
        name: [demand for demand in _demands(figures, measured, teacher, budget) if demand.shortfall > 0]
        for name, figures in measured.items()
    }
    fit = [name for name, demands in missed.items() if not demands]
    chosen = max(fit, key=lambda name: measured[name].throughput) if fit else _nearest(missed)
    found = _summary(measured[chosen])
    return Verdict(
        chosen=chosen,
        reasons={name: _reason(name, measured[name], missed[name], chosen, met=bool(fit)) for name in measured},
        goal_met=bool(fit),
        goal=f"goal met by {chosen}: {found}" if fit else f"goal missed; nearest is {chosen}: {_texts(missed[chosen])}",
    )


def _demands(figures: Measured, measured: Mapping[str, Measured], teacher: Measured, budget: Budget) -> list[Demand]:
    accuracy, gain = figures.accuracy.value, figures.over_teacher or ITSELF
    drop = teacher.accuracy.value - accuracy
    demands = [
        Demand(
            found=accuracy,
            wanted=budget.min_accuracy,
            text=f"accuracy {accuracy:.4f}, asked is {budget.min_accuracy:.4f}",
        ),
        Demand(
            found=accuracy,
            wanted=teacher.accuracy.value - budget.max_accuracy_drop,
            text=f"accuracy falls by {drop:.4f}, the budget is {budget.max_accuracy_drop:.4f}",
        ),
        Demand(
            found=gain.compute,
            wanted=budget.min_speedup,
            text=f"{_times(gain.compute)} as fast as the teacher, asked is {_times(budget.min_speedup)}",
        ),
        Demand(
            found=gain.size,
            wanted=budget.min_shrink,
            text=f"{_times(gain.size)} smaller than the teacher, asked is {_times(budget.min_shrink)}",
        ),
    ]
    if figures.parent is not None:
        demands += _as_fast_as_parent(figures, figures.parent)
        demands += _no_worse(figures, measured)
    return demands


def _as_fast_as_parent(figures: Measured, name: str) -> list[Demand]:
    gain = figures.over_parent or ITSELF
    return [
        Demand(found=gain.compute, wanted=1.0, text=f"slower than {name}: {_times(gain.compute)} at batch 1"),
        Demand(
            found=gain.throughput,
            wanted=1.0,
            text=f"slower than {name}: {_times(gain.throughput)} at batch {figures.best_batch}",
        ),
    ]


def _no_worse(figures: Measured, measured: Mapping[str, Measured]) -> list[Demand]:
    """What a variant lost against its parent beyond chance, and what its parent lost: an heir has it too."""
    demands, origin = [], ""
    while figures.parent is not None:
        parent, test = measured[figures.parent], figures.against_parent
        if test is not None and test.only_first < test.only_second and test.p_value < SIGNIFICANT:
            text = f"worse than {figures.parent}: {test.only_second} images lost, {test.only_first} won"
            text = f"{origin}{text}, p = {test.p_value:.2g}"
            demands.append(Demand(found=figures.accuracy.value, wanted=parent.accuracy.value, text=text))
        origin = f"made from {figures.parent}, which is "
        figures = parent
    return demands


def _nearest(missed: Mapping[str, list[Demand]]) -> str:
    return min(missed, key=lambda name: max(demand.shortfall for demand in missed[name]))


def _reason(name: str, figures: Measured, missed: list[Demand], chosen: str, *, met: bool) -> str:
    if missed:
        return ("nearest miss: " if name == chosen and not met else "not chosen: ") + _texts(missed)
    if name == chosen:
        return f"chosen: {_summary(figures)}"
    return f"not chosen: {chosen} has the higher throughput"


def _summary(figures: Measured) -> str:
    gain = figures.over_teacher
    against = "" if gain is None else f", {_times(gain.size)} smaller and {_times(gain.compute)} as fast as the teacher"
    return f"accuracy {figures.accuracy.value:.4f}{against}"


def _times(ratio: float) -> str:
    """A ratio to two digits, or to as many as show that it isn't 1."""
    if ratio == 1 or round(ratio, 2) != 1:
        return f"{ratio:.2f}x"
    return f"{min(ratio, 0.9999) if ratio < 1 else max(ratio, 1.0001):.4f}x"


def _texts(demands: list[Demand]) -> str:
    return "; ".join(demand.text for demand in demands)
