"""What `hone-serve profile` shows: a table for each runtime, with a bar for what each batch size comes to."""

from collections.abc import Sequence
from typing import Any

from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from service.engine.profile import best_rows
from service.engine.runtimes import Outcome
from service.engine.trials.difference import BEYOND
from service.engine.trials.findings import Findings

_BAR = 24


def show(model: str, outcomes: Sequence[Outcome], chosen: Outcome | None, console: Console) -> None:
    """Tables and bars of all outcomes, and which one serves the model best."""
    most = max((outcome.throughput for outcome in outcomes), default=0.0)
    for outcome in outcomes:
        if outcome.findings is None:
            console.print(f"{name(outcome)}: {outcome.problem}")
        else:
            console.print(_table(outcome, outcome.findings, most, chosen=outcome is chosen))
    console.print(f"{model}: {_verdict(outcomes, chosen)}")


def name(outcome: Outcome) -> str:
    """A runtime and its precision, in words."""
    return f"{outcome.backend} {outcome.precision}"


def _verdict(outcomes: Sequence[Outcome], chosen: Outcome | None) -> str:
    if chosen:
        return f"best with {name(chosen)}"
    if any(outcome.is_measured for outcome in outcomes):
        return "none is chosen: the answers of those that were measured differ by more than --max-error"
    if any(outcome.findings for outcome in outcomes):
        return (
            "none is chosen, because no batch could be timed: where lengths vary, declare them with hone.length.INPUT,"
            " and publish golden.npz where the model refuses made-up inputs"
        )
    return "none is chosen, because none could be tried"


def as_json(outcomes: Sequence[Outcome], chosen: Outcome | None) -> list[dict[str, Any]]:
    """The same for machines; times in seconds."""
    return [
        {
            "backend": outcome.backend,
            "precision": outcome.precision,
            "chosen": outcome is chosen,
            "problem": outcome.problem,
            "error": outcome.error,
            "rows_per_second": outcome.throughput,
            "instances": outcome.findings.instances if outcome.findings else 0,
            "threads": outcome.findings.threads if outcome.findings else 0,
            "influence_of_batch_mates": outcome.findings.influence if outcome.findings else None,
            "batches": [
                {"rows": one.rows, "median": one.median, "p95": one.p95}
                for one in (outcome.findings.buckets if outcome.findings else ())
            ],
        }
        for outcome in outcomes
    ]


def _agreement(error: float) -> str:
    """How the answers compare with the reference's, in words."""
    if error >= BEYOND:
        return "answers differ in NaN, infinity or shape"
    return f"answers differ by {error:.2%}"


def _table(outcome: Outcome, findings: Findings, most: float, *, chosen: bool) -> Table:
    title = f"{name(outcome)}: {findings.instances} x {findings.threads} threads, {_agreement(outcome.error)}"
    table = Table("rows", "median ms", "p95 ms", "rows/s", "", title=title, title_justify="left")
    table.title_style = "bold" if chosen else ""
    best = best_rows(findings.buckets) if findings.buckets else 0
    for bucket in findings.buckets:
        pace = findings.instances * bucket.rows / bucket.median
        table.add_row(
            str(bucket.rows),
            f"{bucket.median * 1e3:.3f}",
            f"{bucket.p95 * 1e3:.3f}",
            f"{pace:,.0f}",
            Bar(most, 0, pace, width=_BAR),
            style="bold" if bucket.rows == best else "",
        )
    return table
