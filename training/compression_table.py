"""A search for variants on the terminal: a line for each trial, and the table at its end."""

from collections.abc import Iterator

from rich.console import Console

from training.comparison import Against
from training.compression.search.budget import OBJECTIVES, Budget
from training.compression.search.trial import Trial
from training.compression_report import CompressionReport, Row, Tested, lost, times
from training.gain import Gain
from training.table import framed, print_whole, tell_published

COLUMNS = ("compute", "throughput", "size")
MOST_FAILED = 120
"""Characters of a reason on the terminal; the report has all of it."""


def print_trial(trial: Trial, headline: str, budget: Budget, console: Console) -> None:
    """What came of a variant."""
    if trial.failed:
        told = f"couldn't be: {trial.failed[:MOST_FAILED]}"
    else:
        told = f"{headline} {trial.score:.4g} ({lost(trial.drop)}), "
        told += times(trial.gain, budget.objective)
        told += "" if trial.within(budget) else ", loses too much"
        told += ", each request alone: batch-mates may change answers" if trial.made.alone else ""
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
        for line in _lines(name, one, report):
            console.print(line, highlight=False, soft_wrap=True)
    for name in (name for name in report.evidence if name not in report.tested):
        console.print(f"  {name}: {report.evidence[name]}", highlight=False, soft_wrap=True)
    ended = {"done": "", "time": "the time was up; ", "interrupted": "interrupted; "}[report.ended]
    console.print(f"  {ended}{report.verdict}", highlight=False, soft_wrap=True)
    tell_published(report.published, console)


def _lines(name: str, one: Tested, report: CompressionReport) -> Iterator[str]:
    """What a variant came to in the end, and what ran of it."""
    figure, gain = one.figure, one.gain
    line = f"  {name} on {report.part}: {report.headline} {figure.value:.4g} [{figure.low:.4g}, {figure.high:.4g}]"
    line += f", {lost(one.drop)}"
    for rival, against in (("the teacher", one.against_teacher), ("what it was made from", one.against_parent)):
        if against and not (against is one.against_parent and against == one.against_teacher):
            line += f"; {_beside(against)} beside {rival}"
    yield line
    if one.against_teacher and (sliced := one.against_teacher.sliced):
        worst = one.worst(sliced, smaller=report.smaller)
        line = f"    worst {sliced} is that of {worst}: {one.by[sliced][worst].value:.3g}"
        if "calibration error" in one.figures:
            line += f"; calibration error {one.figures['calibration error'].value:.3f}"
        yield line
    evidence = report.evidence.get(name)
    latencies = ", ".join(f"{found.p50:.2f} ms at {size}" for size, found in one.speed.latency_ms.items())
    yield (
        f"    {gain.compute:.2f}x as fast, {gain.throughput:.2f}x inputs a second, {gain.size:.2f}x smaller;"
        f" p50 {latencies}" + (f"; {evidence.memory.own / 1e6:.0f} MB of memory" if evidence else "")
    )
    if evidence:
        yield f"    {evidence}"


def _beside(against: Against) -> str:
    if against.pairs is None:
        return against.verdict
    pairs = against.pairs
    return f"{against.verdict} ({pairs.only_first} won, {pairs.only_second} lost, p = {pairs.p_value:.2g})"


def _cells(row: Row, report: CompressionReport) -> tuple[str, ...]:
    assert row.gain is not None  # it didn't fail
    assert row.drop is not None
    gain = row.gain
    mark = "*" if row.variant in report.front else ""
    return f"{row.score:.4g}", f"{row.drop:.2%}", *(_between(gain, name) for name in COLUMNS), mark


def _between(gain: Gain, name: str) -> str:
    """A gain, and, below it, where it was timed, its interval."""
    between = gain.interval(name)
    value = f"{getattr(gain, name):.2f}x"
    return value if between.low == between.high else f"{value}\n{between.low:.2f}-{between.high:.2f}"
