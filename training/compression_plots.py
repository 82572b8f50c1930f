"""The plot of a search: what every variant loses and gains, and the line of those that nothing beats in both."""

from collections.abc import Sequence

from markupsafe import Markup

from training.compression.search.budget import gained
from training.compression_report import CompressionReport, Row
from training.drawing import INK, MARKERS, MUTED, RULE, SERIES, blank, drawing, inline

FURTHEST = 4.0
"""Times what may be lost: what loses more isn't drawn, or the rest couldn't be told apart."""


def pareto(report: CompressionReport) -> Markup:
    """Gain by drop, in percent; a colour and a marker for each network."""
    with drawing("pareto"):
        figure = blank(400, 300)
        axes = figure.add_subplot()
        shown = drawn(report)
        for number, network in enumerate(dict.fromkeys(row.network for row in shown)):
            points = [row for row in shown if row.network == network]
            marker, _ = MARKERS[number % len(MARKERS)]
            colour = SERIES[number % len(SERIES)]
            axes.scatter(*_axes(points, report), color=colour, marker=marker, s=28, label=network, zorder=3)
        front = [row for row in shown if row.variant in report.front]
        axes.plot(*_axes(front, report), color=MUTED, linewidth=1.2, drawstyle="steps-post", zorder=2)
        axes.axvline(100 * report.budget.max_drop, color=INK, linestyle="--", linewidth=1)
        axes.axhline(1, color=RULE, linewidth=1)
        axes.set_xlabel(f"{report.headline} lost, %")
        axes.set_ylabel(f"times as good, by {report.budget.objective}")
        axes.legend(fontsize=8, frameon=False)
        return inline(figure, "pareto")


def drawn(report: CompressionReport) -> list[Row]:
    """The variants that lose little enough to be drawn, the least first."""
    furthest = FURTHEST * max(report.budget.max_drop, 0.01)
    found = [row for row in report.rows if row.drop is not None and row.drop <= furthest]
    return sorted(found, key=lambda row: (row.drop, row.variant))


def _axes(rows: Sequence[Row], report: CompressionReport) -> tuple[list[float], list[float]]:
    drops, gains = [], []
    for row in rows:
        assert row.drop is not None  # they are those that were measured
        assert row.gain is not None
        drops.append(100 * row.drop)
        gains.append(gained(row.gain, report.budget.objective))
    return drops, gains
