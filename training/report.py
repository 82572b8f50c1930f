"""What a run came to: `report.json` beside it, and the table a person reads at the end."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from service.artifact.card import Machine
from training.evaluate import Measured
from training.publish import Published
from training.recipe import Recipe
from training.steps import StepTime
from training.verdict import Verdict

REPORT = "report.json"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a run measured, decided and published, and what it was measured on.

    `steps` maps each step to its seconds, and whether its output was there already. `training` says how the fit went.
    """

    recipe: Recipe
    steps: Mapping[str, StepTime]
    training: Mapping[str, Any]
    variants: Mapping[str, Measured]
    verdict: Verdict
    published: tuple[Published, ...]
    machine: Machine
    commit: str | None

    def to_json(self) -> bytes:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def print(self, console: Console) -> None:
        """The table of variants, the verdict, and what was published."""
        console.print(_variants(self))
        for name, reason in self.verdict.reasons.items():
            console.print(f"  {name}: {reason}{_paired(self.variants[name])}", highlight=False, soft_wrap=True)
        console.print(f"  {self.recipe.family}: {self.verdict.goal}", highlight=False)
        for one in self.published:
            state = "published" if one.new else "unchanged"
            console.print(f"  {state} {one.name} version {one.version}", highlight=False)


def current_commit() -> str | None:
    """The commit of the source tree, with `+` behind it where files differ from it; None outside a work tree."""
    folder = Path(__file__).parents[1]
    git = shutil.which("git")
    if git is None:
        return None
    commit = _output(git, folder, "rev-parse", "--short=12", "HEAD")
    changed = _output(git, folder, "status", "--porcelain", "--untracked-files=no", "--", "training", "service")
    return commit if not commit else commit + ("+" if changed else "")


def _output(git: str, folder: Path, *arguments: str) -> str | None:
    done = subprocess.run([git, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _variants(report: Report) -> Table:
    title = f"{report.recipe.about} ({report.recipe.profile})"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("variant", no_wrap=True)
    for column in ("accuracy % (95 %)", "MB", "p50/p99 ms", "images/s", "speed-up"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, figures in report.variants.items():
        table.add_row(name, *_row(figures), style="bold" if name == report.verdict.chosen else "")
    table.caption = "p50/p99 and first speed-up: batch 1. images/s and second: best batch (@)."
    table.caption_justify = "left"
    return table


def _paired(figures: Measured) -> str:
    test = figures.against_parent
    if test is None:
        return ""
    return f" (against {figures.parent}: {test.only_first} better, {test.only_second} worse, p = {test.p_value:.2f})"


def _row(figures: Measured) -> tuple[str, ...]:
    accuracy = figures.accuracy
    return (
        f"{accuracy.value:.1%} ({accuracy.low:.1%}-{accuracy.high:.1%})".replace("%", ""),
        f"{figures.size / 1e6:.2f}",
        f"{figures.latency_ms['p50']:.2f}/{figures.latency_ms['p99']:.2f}",
        f"{figures.throughput:,.0f} @{figures.best_batch}",
        f"{figures.latency_speedup:.2f}/{figures.throughput_speedup:.2f}",
    )
