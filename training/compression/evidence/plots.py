"""The plots of where time went in a compressed model."""

from collections.abc import Sequence

from markupsafe import Markup

from training.compression.evidence.breakdown import LayerRow, Waterfall
from training.drawing import INK, MUTED, SERIES, blank, drawing, inline

MOST_LAYERS = 24
"""Layers in a plot; the table has them all."""

SAVED, COST = SERIES[2], SERIES[3]


def waterfall(found: Waterfall, name: str = "waterfall") -> Markup:
    """Bars from the time of the model in floating point down, or up, to the variant's; a page has one of a `name`."""
    with drawing(name):
        names = ["teacher", *(step.name for step in found.steps), "variant"]
        figure = blank(400, 40 + 30 * len(names))
        axes = figure.add_subplot()
        axes.barh(0, found.float_us, color=MUTED)
        level = highest = found.float_us
        for place, step in enumerate(found.steps, start=1):
            axes.barh(place, step.us, left=level, color=SAVED if step.us < 0 else COST)
            level += step.us
            highest = max(highest, level)
            axes.text(max(level, level - step.us), place, f" {step.us:+,.0f}", va="center", color=INK)
        axes.barh(len(names) - 1, found.compressed_us, color=SERIES[0])
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 1.2 * max(found.compressed_us, highest))
        axes.set_xlabel("one run, microseconds")
        return inline(figure, name)


def layers(rows: Sequence[LayerRow]) -> Markup:
    """For each of the costliest layers the time in the float model, and below it kernel and conversions now."""
    with drawing("layers"):
        shown = sorted(rows, key=lambda row: -max(row.float_us, row.kernel_us + row.conversions_us))[:MOST_LAYERS]
        shown = [row for row in rows if row in shown]
        figure = blank(400, 60 + 26 * len(shown))
        axes = figure.add_subplot()
        places = range(len(shown))
        kernels = [row.kernel_us for row in shown]
        axes.barh(places, [row.float_us for row in shown], height=-0.4, align="edge", color=MUTED)
        axes.barh(places, kernels, height=0.4, align="edge", color=SERIES[0])
        conversions = [row.conversions_us for row in shown]
        axes.barh(places, conversions, left=kernels, height=0.4, align="edge", color=COST)
        axes.set_yticks(places, [_short(row.name) for row in shown])
        axes.margins(y=0.02)
        axes.invert_yaxis()
        axes.set_xlabel("one run, microseconds")
        return inline(figure, "layers")


def _short(name: str) -> str:
    """The end of a long name, which says more than its beginning."""
    return name if len(name) <= 28 else f"…{name[-27:]}"
