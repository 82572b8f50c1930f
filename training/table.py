"""What a person reads on the terminal at the end of a step."""

from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.table import Table

from training.evaluate import Measured
from training.publish import Published
from training.report import Report

UNBOUNDED = 10_000
"""Columns: more than any table has."""


def print_report(report: Report, console: Console) -> None:
    """The variants side by side, what was decided and why, and what was published.

    No figure is ever cut: two tables fit into 80 columns, and where names are too long for that, lines grow.
    """
    quality = framed(
        f"{report.recipe.about} ({report.recipe.profile})",
        ("parent", "accuracy % (95 %)", "won/lost (p)", "KB", "smaller"),
        first="variant",
    )
    speed = framed("", ("compute ms", "faster", "p50/p99 ms", "images/s @batch"), first="variant")
    for name, figures in report.variants.items():
        style = "bold" if name == report.verdict.chosen else ""
        quality.add_row(name, *_quality(figures, report.recipe.family), style=style)
        speed.add_row(name, *_speed(figures), style=style)
    teacher = next(iter(report.variants.values()))
    quality.caption = "won/lost: images against the parent. smaller: times the teacher's."
    speed.caption = f"ms: one image, p50/p99 of {teacher.latency_ms['1'].count:,} requests. faster: in computing."
    print_whole(quality, console)
    print_whole(speed, console)
    rivals = ", ".join(f"{name} {one.value:.1%}" for name, one in report.baselines.items())
    console.print(f"  to be beaten, by accuracy: {rivals}", highlight=False, soft_wrap=True)
    for name, reason in report.verdict.reasons.items():
        console.print(f"  {name}: {reason}", highlight=False, soft_wrap=True)
    console.print(f"  {report.verdict.goal}", highlight=False, soft_wrap=True)
    tell_published(report.published, console)


def tell_published(published: Iterable[Published], console: Console) -> None:
    """Each model with its version, and whether that is new."""
    for one in published:
        state = "published" if one.new else "unchanged"
        gone = ", ".join(map(str, one.replaced))
        note = f" in the place of {gone}, which had other inputs, outputs, labels or tokens" if one.replaced else ""
        console.print(f"  {state} {one.name} version {one.version}{note}", highlight=False, soft_wrap=True)


def framed(title: str, columns: tuple[str, ...], *, first: str) -> Table:
    """An empty table: names on the left, figures on the right."""
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.title_justify = table.caption_justify = "left"
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def print_whole(table: Table, console: Console) -> None:
    """Print a table as wide as it is: whatever narrows it would cut figures."""
    table.width = console.measure(table, options=console.options.update(width=UNBOUNDED)).maximum
    console.print(table, crop=False)


def _quality(figures: Measured, family: str) -> tuple[str, ...]:
    accuracy, test, gain = figures.accuracy, figures.against_parent, figures.over_teacher
    return (
        "" if figures.parent is None else figures.parent.removeprefix(f"{family}-"),
        f"{accuracy.value:.1%} ({accuracy.low:.1%}-{accuracy.high:.1%})".replace("%", ""),
        "" if test is None else f"{test.only_first}/{test.only_second} ({_chance(test.p_value)})",
        f"{figures.size / 1e3:,.0f}",
        "" if gain is None else f"{gain.size:.1f}x",
    )


def _speed(figures: Measured) -> tuple[str, ...]:
    latency, gain = figures.latency_ms["1"], figures.over_teacher
    return (
        f"{figures.compute_ms['1']:.3f}",
        "" if gain is None else f"{gain.compute:.2f}x",
        f"{latency.p50:.2f}/{latency.p99:.2f}",
        f"{figures.throughput:,.0f} @{figures.best_batch}",
    )


def _chance(p_value: float) -> str:
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
