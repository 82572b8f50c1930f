"""A search for variants on the terminal: a line for each trial, and the table at its end."""

from rich.console import Console

from training.compression.search.budget import OBJECTIVES, Budget, gained
from training.compression.search.trial import Trial
from training.compression_report import CompressionReport, Row, lost
from training.table import framed, print_whole

MOST_FAILED = 120
"""Characters of a reason on the terminal; the report has all of it."""


def print_trial(trial: Trial, headline: str, budget: Budget, console: Console) -> None:
    """What came of a variant."""
    if trial.failed:
        told = f"couldn't be: {trial.failed[:MOST_FAILED]}"
    else:
        times = gained(trial.gain, budget.objective)
        told = f"{headline} {trial.score:.4g} ({lost(trial.drop)}), {times:.2f}x by {budget.objective}"
        told += "" if trial.within(budget) else ", loses too much"
        told += f", batch-mates move answers by {trial.made.mates:.2%}" if trial.made.depends else ""
    console.print(f"    {trial.name:<28} {told}", highlight=False, soft_wrap=True)


def print_compression(report: CompressionReport, console: Console) -> None:
    """Everything that was tried, the Pareto set marked, and what was chosen and why."""
    columns = (report.headline, "lost", "faster", "inputs/s", "smaller", "")
    table = framed(f"{report.about} ({report.profile}), on validation inputs", columns, first="variant")
    for row in report.rows:
        if not row.failed:
            table.add_row(row.variant, *_cells(row, report), style="bold" if row.variant == report.chosen else "")
    objective = report.budget.objective
    table.caption = f"beside the teacher: {OBJECTIVES[objective]} decides. *: nothing is better in both."
    print_whole(table, console)
    for row in report.rows:
        if row.failed:
            console.print(f"  {row.variant} couldn't be: {row.failed}", highlight=False, soft_wrap=True)
    for name, one in report.tested.items():
        figure = one.figure
        line = f"  {name} on the test part: {report.headline} {figure.value:.4g} [{figure.low:.4g}, {figure.high:.4g}]"
        line += f", {lost(one.drop)}" + (f" ({one.verdict})" if one.verdict else "")
        line += f"; {one.gain.compute:.2f}x as fast, {one.gain.throughput:.2f}x inputs a second, "
        line += f"{one.gain.size:.2f}x smaller, p50 {one.speed.latency_ms['1'].p50:.2f} ms"
        console.print(line, highlight=False, soft_wrap=True)
        console.print(f"    {report.evidence[name]}", highlight=False, soft_wrap=True)
    ended = {"done": "", "time": "the time was up; ", "interrupted": "interrupted; "}[report.ended]
    console.print(f"  {ended}{report.verdict}", highlight=False, soft_wrap=True)


def _cells(row: Row, report: CompressionReport) -> tuple[str, ...]:
    assert row.gain is not None  # it didn't fail
    assert row.drop is not None
    gain = row.gain
    mark = "*" if row.variant in report.front else ""
    times = (f"{one:.2f}x" for one in (gain.compute, gain.throughput, gain.size))
    return f"{row.score:.4g}", f"{row.drop:.2%}", *times, mark
