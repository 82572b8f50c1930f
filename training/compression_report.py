"""What a search for variants came to, as data (compress.json)."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from service.artifact.card import Machine
from training.bootstrap import Figure
from training.comparison import Verdict
from training.compression.search.budget import Budget, Objective, gained
from training.compression.search.explore import Ended
from training.compression.search.made import Made
from training.gain import Gain
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
    """What a variant is worth on the test part, which had no say, through the service beside the teacher.

    `difference` is by how much its headline figure exceeds the teacher's on the same inputs, and `verdict` what that
    says; None where answers aren't to inputs. `drop` is as in `Row`; `size` is the file's, in bytes.
    """

    figure: Figure
    drop: float
    difference: Figure | None
    verdict: Verdict | None
    gain: Gain
    speed: Speed
    size: int


@dataclass(frozen=True, kw_only=True)
class CompressionReport:
    """Everything that was tried, in its order, and what was chosen under the `budget`.

    `headline` is the figure that decides, `smaller` whether the smaller of two values is the better. `front` are the
    variants that nothing beats in both what is lost and what is gained; `tested` has them and the `chosen` one, and
    `evidence` says what ran of them.
    `met` says whether as much is gained as is asked, and `nearest` what gains that and loses least. `ended` is why no
    more was tried.
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
    met: bool
    nearest: str | None
    tested: Mapping[str, Tested]
    evidence: Mapping[str, Evidence]
    ended: Ended
    commit: str | None
    machine: Machine

    @property
    def verdict(self) -> str:
        """What was chosen and why, or what is missing and what it would cost, in a sentence."""
        rows = {one.variant: one for one in self.rows}
        objective, budget = self.budget.objective, self.budget
        chosen = rows[self.chosen]
        found = f"{self.chosen}: {_times(chosen, objective)} by {objective}, {self._told(chosen)}"
        if self.met:
            return f"goal met by {found}"
        asked = f"asked is {budget.at_least:.2f}x at no more than {budget.max_drop:.2%} lost"
        if self.nearest is None:
            return f"goal missed; best within the budget is {found}; {asked}; nothing gains that"
        miss = rows[self.nearest]
        cost = f"{_times(miss, objective)} would cost {self._told(miss)}, by {self.nearest}"
        return f"goal missed; best within the budget is {found}; {asked}; {cost}"

    def _told(self, row: Row) -> str:
        assert row.drop is not None  # of those that failed nothing is said
        return f"{self.headline} {row.score:.4g}, {lost(row.drop)}"

    def to_json(self) -> bytes:
        """All of it as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def _times(row: Row, objective: Objective) -> str:
    assert row.gain is not None  # of those that failed nothing is said
    return f"{gained(row.gain, objective):.2f}x"


def lost(drop: float) -> str:
    """A drop as people read it."""
    if round(drop, 4) == 0:
        return "nothing lost"
    return f"{abs(drop):.2%} {'lost' if drop > 0 else 'won'}"
