"""What a person reads on the terminal at the end of a step."""

from collections.abc import Mapping

from rich import box
from rich.console import Console
from rich.table import Table

from training.evaluate import Measured
from training.report import Report
from training.steps.learning import Facts


def print_networks(networks: Mapping[str, Facts], sizes: Mapping[str, int], console: Console) -> None:
    """What was made: each network, and the size in bytes of each model file by its variant."""
    table = _table("Networks and model files", ("parameters", "M multiply-adds", "validation %", "MB"), first="variant")
    for variant, size in sizes.items():
        facts = networks.get(variant)
        made = ("", "", "") if facts is None else _made(facts)
        table.add_row(variant, *made, f"{size / 1e6:.2f}")
    console.print(table)


def print_report(report: Report, console: Console) -> None:
    """The variants side by side, what was decided and why, and what was published."""
    title = f"{report.recipe.about} ({report.recipe.profile})"
    columns = ("accuracy % (95 %)", "MB", "compute ms", "p50/p99 ms", "images/s", "smaller", "faster")
    table = _table(title, columns, first="variant")
    for name, figures in report.variants.items():
        table.add_row(name, *_row(figures), style="bold" if name == report.verdict.chosen else "")
    table.caption = "ms: batch 1. images/s: best batch (@). smaller, faster (compute time): times the teacher's."
    table.caption_justify = "left"
    console.print(table)
    for name, reason in report.verdict.reasons.items():
        console.print(f"  {name}: {reason}{_paired(report.variants[name])}", highlight=False, soft_wrap=True)
    console.print(f"  {report.verdict.goal}", highlight=False, soft_wrap=True)
    for one in report.published:
        state = "published" if one.new else "unchanged"
        console.print(f"  {state} {one.name} version {one.version}", highlight=False)


def _table(title: str, columns: tuple[str, ...], *, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _made(facts: Facts) -> tuple[str, ...]:
    return f"{facts.parameters:,}", f"{facts.multiply_adds / 1e6:.2f}", f"{facts.validation_accuracy * 100:.2f}"


def _row(figures: Measured) -> tuple[str, ...]:
    accuracy, latency, gain = figures.accuracy, figures.latency_ms["1"], figures.over_teacher
    return (
        f"{accuracy.value:.1%} ({accuracy.low:.1%}-{accuracy.high:.1%})".replace("%", ""),
        f"{figures.size / 1e6:.2f}",
        f"{figures.compute_ms['1']:.3f}",
        f"{latency.p50:.2f}/{latency.p99:.2f}",
        f"{figures.throughput:,.0f} @{figures.best_batch}",
        "" if gain is None else f"{gain.size:.1f}x",
        "" if gain is None else f"{gain.compute:.2f}x",
    )


def _paired(figures: Measured) -> str:
    test = figures.against_parent
    if test is None:
        return ""
    return f" (against {figures.parent}: {test.only_first} better, {test.only_second} worse, p = {test.p_value:.2f})"
