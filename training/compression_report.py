"""What a search for variants came to, as data (compress.json)."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from service.artifact.card import Machine
from training.bootstrap import Figure
from training.comparison import Against
from training.compression.search.budget import Budget, Objective, drop, gained, sure
from training.compression.search.design import TEACHER
from training.compression.search.explore import Ended
from training.compression.search.made import Made
from training.gain import Gain
from training.publish import Published
from training.steps.explaining import Evidence
from training.timing import Speed


@dataclass(frozen=True, kw_only=True)
class Row:
    """A variant that was tried, by its `variant` name: what it is, and what it was worth on validation inputs.

    `parent` is the variant it was made from. `drop` is the share of the teacher's headline figure that is lost, None
    with the rest where it `failed`, for that reason. `made` says what stayed in float, and whether batch-mates matter.
    """

    variant: str
    parent: str | None
    network: str
    numbers: str
    runtime: str
    score: float | None
    drop: float | None
    gain: Gain | None
    made: Made
    failed: str


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a variant is worth on the test part, by which nothing was searched, through the service beside the teacher.

    `figure` is the headline one of all `figures`, which are also told `by` class and the like, where there are such;
    `drop` is as in `Row`. Beside the teacher, and what it was made from, nothing is said of the teacher itself, nor
    where answers aren't to inputs, or a variant's parent couldn't be served. `size` is the file's, in bytes.
    """

    figure: Figure
    drop: float
    figures: Mapping[str, Figure]
    by: Mapping[str, Mapping[str, Figure]]
    against_teacher: Against | None
    against_parent: Against | None
    gain: Gain
    over_parent: Gain | None
    speed: Speed
    size: int

    def loses(self, budget: Budget, teacher: "Tested", *, smaller: bool) -> bool:
        """Whether more is lost than may be, and that it is worse than the `teacher` is beyond chance.

        Where answers aren't to inputs, whether its whole interval lies beyond what may be lost of the teacher's figure,
        of which the `smaller` value may be the better.
        """
        if self.against_teacher is not None:
            return self.drop > budget.max_drop and self.against_teacher.verdict == "worse"
        best = self.figure.low if smaller else self.figure.high
        return drop(teacher.figure.value, best, smaller=smaller) > budget.max_drop

    def lags(self, budget: Budget) -> bool:
        """Whether it gains surely less than is asked, now that it was timed again."""
        return sure(self.gain, budget.objective).high < budget.at_least

    def stands(self, budget: Budget, teacher: "Tested", *, smaller: bool) -> bool:
        """Whether nothing here refutes that it keeps to the budget and gains as much as is asked."""
        return not self.lags(budget) and not self.loses(budget, teacher, smaller=smaller)

    def worst(self, figure: str, *, smaller: bool) -> str:
        """The class, or the like, whose `figure` is the worst; `smaller` ones are the better ones or not."""
        each = self.by[figure]
        return (max if smaller else min)(each, key=lambda name: each[name].value)


@dataclass(frozen=True, kw_only=True)
class CompressionReport:
    """Everything that was tried, in its order, and what was chosen under the `budget`.

    `headline` is the figure that decides, `smaller` whether the smaller of two values is the better. `front` are the
    variants that nothing beats in both what is lost and what is gained; `tested` has them and the `chosen` one, and
    `evidence` says what ran of them, and of integers that gained nothing, as far as there was time: of `shown` at once,
    in words.
    `met` says whether as much is gained as is asked and no more is lost than may be, and measuring the chosen one on
    the test part doesn't refute that (see `Tested.stands`); of what was `refuted` the first would have been chosen, and
    is where nothing that stands gains as much; `nearest` is what gains that and loses least. `ended` is why no more was
    tried. `seed` is the recipe's, None of a file, and `minutes` is what all steps took when they were done. `doubt` is
    why figures say little, if they do.
    """

    name: str
    profile: str
    about: str
    headline: str
    smaller: bool
    budget: Budget
    rows: tuple[Row, ...]
    front: tuple[str, ...]
    chosen: str
    refuted: tuple[str, ...]
    met: bool
    nearest: str | None
    tested: Mapping[str, Tested]
    evidence: Mapping[str, Evidence]
    shown: str
    ended: Ended
    seed: int | None
    minutes: float
    commit: str | None
    machine: Machine
    doubt: str = ""
    published: tuple[Published, ...] = ()

    @property
    def verdict(self) -> str:
        """What was chosen and why, and not what was refuted; or what is missing, and what it would cost; in a line."""
        rows = {one.variant: one for one in self.rows}
        objective, budget = self.budget.objective, self.budget
        chosen = rows[self.chosen]
        found = f"{self.chosen}: {_times(chosen, objective)}, {self._told(chosen)}"
        refuted = [self._refutation(rows[name]) for name in self.refuted if name != self.chosen]
        if self.met:
            instead = (f"{self.chosen} is chosen instead",) if refuted else ()
            met = "; ".join((f"goal met by {found}", *refuted, *instead))
            return "; but ".join((met, *self._warnings()))
        if self._reached:
            missed = "; but ".join((f"goal missed by {found}", *self._warnings()))
            return "; ".join((missed, *refuted))
        asked = f"asked is {budget.at_least:.2f}x at no more than {budget.max_drop:.2%} lost"
        cost = "nothing gains that"
        if self.nearest is not None:
            miss = rows[self.nearest]
            cost = f"{_times(miss, objective)} would cost {self._told(miss)}, by {self.nearest}"
        best = f"goal missed; best within the budget is {found}; {asked}; {cost}"
        return "; but ".join((best, *self._warnings()))

    @property
    def part(self) -> str:
        """What it is called that variants were measured on in the end: a file has no inputs but its samples."""
        return "the samples" if self.seed is None else "the test part"

    @property
    def _reached(self) -> bool:
        """Whether validation inputs said that the goal is met."""
        chosen = next(one for one in self.rows if one.variant == self.chosen)
        assert chosen.gain is not None  # it didn't fail
        assert chosen.drop is not None
        enough = gained(chosen.gain, self.budget.objective) >= self.budget.at_least
        return enough and chosen.drop <= self.budget.max_drop

    def _loses(self, tested: Tested) -> bool:
        return tested.loses(self.budget, self.tested[TEACHER], smaller=self.smaller)

    def _refutation(self, row: Row) -> str:
        """What validation inputs said of a variant that the test part says otherwise."""
        assert row.gain is not None  # it would have been chosen
        assert row.drop is not None
        tested, objective = self.tested.get(row.variant), self.budget.objective
        if tested is None:
            return f"{row.variant} couldn't be measured on {self.part}: refuted"
        said = []
        if tested.lags(self.budget):
            again = gained(tested.gain, objective)
            said.append(f"gained {gained(row.gain, objective):.2f}x, timed again on {self.part} {again:.2f}x")
        if self._loses(tested):
            said.append(f"had {lost(row.drop)}, on {self.part} {lost(tested.drop)}")
        return f"{row.variant} {', and '.join(said)}: refuted"

    def _told(self, row: Row) -> str:
        assert row.drop is not None  # of those that failed nothing is said
        return f"{self.headline} {row.score:.4g}, {lost(row.drop)}"

    def _warnings(self) -> Iterator[str]:
        """What the headline figure on validation inputs doesn't say of the chosen one."""
        if self.doubt:
            yield self.doubt
        tested = self.tested.get(self.chosen)
        if tested is None:
            yield f"on {self.part} it couldn't be measured"
            return
        if tested.drop > self.budget.max_drop:
            chance = "worse than the teacher beyond chance" if self._loses(tested) else "which may be chance"
            yield f"on {self.part} {lost(tested.drop)}, {chance}"
        if self._reached and gained(tested.gain, self.budget.objective) < self.budget.at_least:
            surely = "surely " if tested.lags(self.budget) else ""
            yield f"timed again {times(tested.gain, self.budget.objective)}, {surely}less than is asked"
        if tested.against_teacher is not None:
            yield from self._fallen(tested, tested.against_teacher)

    def _fallen(self, tested: Tested, against: Against) -> Iterator[str]:
        """The class, or the like, that fell by more than may be lost."""
        now = {name: one.value for name, one in tested.by.get(against.sliced, {}).items()}
        before = {name: now[name] - one.value for name, one in against.slices.items()}

        def much(name: str) -> bool:
            """Beside an error of 0 any is."""
            share = drop(before[name], now[name], smaller=self.smaller) if before[name] else math.inf
            return share > self.budget.max_drop

        fallen = [name for name in against.fallen(smaller=self.smaller) if much(name)]
        if fallen:
            name, more = fallen[0], f", and {len(fallen) - 1} more" if fallen[1:] else ""
            changed = f"{against.sliced} of {name} went from {before[name]:.3g} to {now[name]:.3g}{more}"
            yield f"on {self.part} the {changed}, beyond chance"

    def to_json(self) -> bytes:
        """All of it as indented JSON, with the verdict."""
        told = {**msgspec.to_builtins(self), "verdict": self.verdict}
        return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def _times(row: Row, objective: Objective) -> str:
    assert row.gain is not None  # of those that failed nothing is said
    return times(row.gain, objective)


def times(gain: Gain, objective: Objective) -> str:
    """What is gained by the objective, with its interval where it was timed; of what may be nothing, that."""
    between, value = sure(gain, objective), f"{gained(gain, objective):.2f}x"
    if between.low == between.high:
        return f"{value} by {objective}"
    doubtful = ", which may be nothing" if between.low <= 1 <= between.high else ""
    return f"{value} [{between.low:.2f}-{between.high:.2f}] by {objective}{doubtful}"


def lost(drop: float) -> str:
    """A drop as people read it."""
    if round(drop, 4) == 0:
        return "nothing lost"
    return f"{abs(drop):.2%} {'lost' if drop > 0 else 'won'}"
