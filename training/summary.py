"""What a run came to in a line, whatever its kind: for lists and tables of runs."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import msgspec

from training.bootstrap import Figure
from training.comparison import Verdict
from training.timing import Latency

SUMMARY = Path("report", "summary.json")
"""Where it lies in a run's folder."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A run's `headline` figure, which decides, and what it is worth.

    `data` names the source, in summaries that aren't older than that. `baseline` is the best one by that figure, None
    where the kind of recipe has none, and `verdict` what came of comparing both input by input, where that can be done.
    `size` are the file's bytes, `fit_seconds` those of all epochs, `latency_ms` that of requests at batch 1, None of
    what isn't asked that way.
    """

    recipe: str
    profile: str
    about: str
    problem: str
    network: str
    headline: str
    smaller: bool
    figure: Figure
    baseline: str | None
    baseline_value: float | None
    verdict: Verdict | None = None
    goal_met: bool
    goal: str
    parameters: int
    size: int
    fit_seconds: float
    latency_ms: Latency | None
    commit: str | None
    data: str = ""

    @property
    def loses(self) -> bool:
        """Whether a baseline does better."""
        rival, own = self.baseline_value, self.figure.value
        return rival is not None and not (own <= rival if self.smaller else own >= rival)

    def to_json(self) -> bytes:
        """The summary as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A summary that lies in a run's folder, and when it was written, in UTC."""

    summary: Summary
    when: dt.datetime


def read(folder: Path) -> Kept | None:
    """The summary of the run in `folder`; None where none was told, or another version of Hone told it."""
    try:
        written = (folder / SUMMARY).stat().st_mtime
        summary = msgspec.json.decode((folder / SUMMARY).read_bytes(), type=Summary)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
    return Kept(summary=summary, when=dt.datetime.fromtimestamp(written, dt.UTC))


def recipes(runs: Path) -> list[str]:
    """The recipes that have a summary below `runs`, sorted."""
    return sorted({path.parents[2].name for path in runs.glob(f"*/*/{SUMMARY}") if read(path.parents[1]) is not None})


def latest(runs: Path, recipe: str) -> Kept | None:
    """The last of the summaries of a recipe's profiles below `runs`."""
    found = [one for folder in sorted((runs / recipe).glob("*")) if (one := read(folder)) is not None]
    return max(found, key=lambda one: one.when, default=None)
