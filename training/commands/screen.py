"""What a verb shows: progress while it works, and what came of it, as lines or as JSON."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer
from rich.console import Console

from training.commands.outcome import GOAL_MISSED, leads

if TYPE_CHECKING:
    from training.language_report import LanguageReport
    from training.network_report import NetworkReport
    from training.report import Report
    from training.steps.journal import Journal, R

    AnyReport = LanguageReport | NetworkReport | Report


def open_journal(recipe: "R", runs: Path, *, retrain: bool, json: bool) -> "Journal[R]":
    """The journal of a run; with `json` its progress goes to stderr."""
    from training.steps.journal import Journal

    return Journal(recipe, runs, console(stderr=json), retrain=retrain)


def console(*, stderr: bool = False) -> Console:
    """The screen. Nothing in square brackets is mark-up: names and paths may hold them."""
    return Console(stderr=stderr, markup=False, quiet=not leads())


def tell(report: "AnyReport", *, json: bool) -> None:
    """Show what was measured. Raises typer.Exit if the goal was missed."""
    from training.language_report import LanguageReport
    from training.language_table import print_language
    from training.network_report import NetworkReport
    from training.network_table import print_network
    from training.table import print_report

    if json:
        sys.stdout.buffer.write(report.to_json())
    elif isinstance(report, LanguageReport):
        print_language(report, console())
    elif isinstance(report, NetworkReport):
        print_network(report, console())
    else:
        print_report(report, console())
    if not (report.goal_met if isinstance(report, LanguageReport | NetworkReport) else report.verdict.goal_met):
        raise typer.Exit(GOAL_MISSED)


def print_json(told: Any) -> None:
    """Print what a verb came to as JSON, and nothing else."""
    typer.echo(msgspec.json.format(msgspec.json.encode(told), indent=2).decode())
