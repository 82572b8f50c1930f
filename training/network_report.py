"""What a run of one network came to: figures, decisions and circumstances, as data (report.json)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from service.artifact.card import Machine
from training.bootstrap import Figure
from training.comparison import Verdict, verdict
from training.data.checks import Finding
from training.diagnosis import Diagnosis
from training.fitted import Fitted
from training.problems.problem import Example, Scores
from training.publish import Published
from training.tasks.task import Better
from training.timing import Speed


@dataclass(frozen=True, kw_only=True)
class NetworkFacts:
    """What a network is: its `kind`, its whole `config`, how many `parameters`, and `seconds` that its fit took."""

    kind: str
    config: Mapping[str, Any]
    parameters: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What was measured on the test part, through the service: the model's `scores` and `speed`, those of baselines.

    `differences` say by how much the figure that decides exceeds that of each baseline, on the same inputs; there are
    none where answers aren't to inputs. `examples` are the answers that were furthest off. `commit` is what it was
    measured at.
    """

    commit: str | None
    scores: Scores
    baselines: Mapping[str, Scores]
    differences: Mapping[str, Figure]
    speed: Speed
    examples: tuple[Example, ...]

    def best_baseline(self, headline: str, *, smaller: bool) -> str | None:
        """The name of the baseline that is hardest to beat by the figure `headline`; None where there are none."""
        sign = 1 if smaller else -1
        return min(self.baselines, key=lambda name: sign * self.baselines[name].figures[headline].value, default=None)


@dataclass(frozen=True, kw_only=True)
class NetworkReport:
    """Everything a run measured and decided, and what it was measured on.

    `headline` is the figure that decides, `better` which of two values of a figure is the better one. `parts` are how
    many inputs each part has, `diagnosis` is what the learning curves say, `parity` the largest difference between the
    file's answers and torch's, `size` the file's bytes.
    """

    name: str
    profile: str
    about: str
    family: str
    problem: str
    headline: str
    better: Better
    settings: Mapping[str, Any]
    parts: Mapping[str, int]
    findings: tuple[Finding, ...]
    fit: Fitted
    diagnosis: Diagnosis
    network: NetworkFacts
    size: int
    parity: float
    judged: Judged
    goal_met: bool
    goal: str
    machine: Machine
    published: tuple[Published, ...] = ()

    @property
    def smaller(self) -> bool:
        """Whether the smaller of two values of the figure that decides is the better one."""
        return self.better[self.headline] == "smaller"

    @property
    def best_baseline(self) -> str | None:
        """The name of the baseline that is hardest to beat; None where there are none."""
        return self.judged.best_baseline(self.headline, smaller=self.smaller)

    @property
    def verdicts(self) -> Mapping[str, Verdict]:
        """Whether the model is better than each baseline that it can be compared with, input by input."""
        return {name: verdict(one, smaller=self.smaller) for name, one in self.judged.differences.items()}

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"
