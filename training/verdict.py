"""Which variant is served under the family's name, and why: decided by measured figures and a budget, never by hope."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.evaluate import Measured


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What a compressed variant may cost and must bring, and what the family must reach at all.

    `max_accuracy_drop` and `min_accuracy` are shares of test images; `min_speedup` is a ratio to the teacher, asked
    of the throughput at the best batch size, while the median latency at batch 1 must at least not be longer.
    """

    max_accuracy_drop: float = 0.01
    min_accuracy: float = 0.0
    min_speedup: float = 1.05

    def __post_init__(self) -> None:
        if not 0 <= self.max_accuracy_drop <= 1 or not 0 <= self.min_accuracy <= 1 or self.min_speedup <= 0:
            raise ValueError("max_accuracy_drop, min_accuracy: must be shares; min_speedup: must be positive")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The chosen variant, a sentence for every variant that says why (not), and whether the family meets its goal."""

    chosen: str
    reasons: Mapping[str, str]
    goal_met: bool
    goal: str


def choose(measured: Mapping[str, Measured], budget: Budget) -> Verdict:
    """Judge the variants against their teacher, the one without a parent.

    Of those within the budget and faster, the one with the highest throughput is chosen; of none, the teacher.
    """
    teacher = next(name for name, figures in measured.items() if figures.parent is None)
    objections = {
        name: _objections(figures, measured[teacher], budget) for name, figures in measured.items() if name != teacher
    }
    fit = [name for name, reasons in objections.items() if not reasons]
    chosen = max(fit, key=lambda name: measured[name].throughput, default=teacher)
    accuracy = measured[chosen].accuracy
    relation = "reaches" if accuracy.value >= budget.min_accuracy else "misses"
    return Verdict(
        chosen=chosen,
        reasons={name: _reason(name, measured[name], objections.get(name), chosen) for name in measured},
        goal_met=accuracy.value >= budget.min_accuracy,
        goal=f"accuracy {accuracy.value:.4f} {relation} the goal of {budget.min_accuracy:.4f}",
    )


def _objections(figures: Measured, teacher: Measured, budget: Budget) -> list[str]:
    objections = []
    drop = teacher.accuracy.value - figures.accuracy.value
    if drop > budget.max_accuracy_drop:
        objections.append(f"accuracy falls by {drop:.4f}, the budget is {budget.max_accuracy_drop:.4f}")
    gain = f"{figures.throughput_speedup:.2f}x at batch {figures.best_batch}"
    if figures.throughput_speedup < 1:
        objections.append(f"slower: {gain}")
    elif figures.throughput_speedup < budget.min_speedup:
        objections.append(f"{gain}, asked is {budget.min_speedup:.2f}x")
    if figures.latency_speedup < 1:
        objections.append(f"slower: {figures.latency_speedup:.2f}x at batch 1")
    return objections


def _reason(name: str, figures: Measured, objections: list[str] | None, chosen: str) -> str:
    if objections:
        return "not chosen: " + "; ".join(objections)
    if objections is None:
        return "chosen: no variant is faster within the budget" if name == chosen else "the teacher: the yardstick"
    gain = f"{figures.latency_speedup:.2f}x at batch 1, {figures.throughput_speedup:.2f}x at batch {figures.best_batch}"
    return f"chosen: {gain}, within the accuracy budget" if name == chosen else f"not chosen: {chosen} is faster"
