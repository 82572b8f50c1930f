"""The plots of one network that was measured, and of an input that is a series."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from training.bootstrap import Figure
from training.data.split import Array
from training.drawing import MUTED, SERIES, blank, drawing, inline
from training.metrics.classification import Bin

LARGEST_MARKER, SMALLEST_MARKER = 180.0, 12.0
"""Areas in square points."""


def comparison(figures: Mapping[str, Figure], name: str) -> Markup:
    """The figure `name` of the network, the first, and of baselines, each with its interval, one below the other."""
    with drawing("comparison"):
        figure = blank(400, 70 + 28 * len(figures))
        axes = figure.add_subplot()
        for place, (label, one) in enumerate(figures.items()):
            colour = MUTED if place else SERIES[0]
            axes.hlines(-place, one.low, one.high, colors=colour, linewidth=2.2)
            axes.plot([one.value], [-place], color=colour, marker="s" if place else "o", markersize=7)
            axes.annotate(
                label, (one.value, -place), (0, 7), textcoords="offset points", ha="center", color=colour, fontsize=10
            )
        axes.set_yticks([])
        axes.set_ylim(0.4 - len(figures), 0.9)
        axes.margins(x=0.22)  # where names stand that are longer than their intervals
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(name)
        return inline(figure, "comparison")


def roc(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Markup:
    """Curves by class, and the diagonal of those who guess."""
    with drawing("roc"):
        figure = blank(320, 300)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=":")
        for number, points in enumerate(curves.values()):
            axes.plot(*zip(*points, strict=True), color=SERIES[number % len(SERIES)])
        axes.set_xlabel("false alarms")
        axes.set_ylabel("recall")
        axes.set_aspect("equal")
        return inline(figure, "roc")


def calibration(bins: Sequence[Bin]) -> Markup:
    """What was right against what was promised, area by how many answers there are, and the diagonal of the honest."""
    with drawing("calibration"):
        figure = blank(320, 300)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.0, linestyle=":")
        most = max(one.count for one in bins)
        areas = [max(SMALLEST_MARKER, LARGEST_MARKER * one.count / most) for one in bins]
        confidences, shares = [one.confidence for one in bins], [one.accuracy for one in bins]
        axes.plot(confidences, shares, color=SERIES[0], linewidth=1.0)
        axes.scatter(confidences, shares, s=areas, c=SERIES[0], zorder=3)
        axes.set_xlim(-0.04, 1.04)
        axes.set_ylim(-0.04, 1.04)
        axes.set_xlabel("confidence")
        axes.set_ylabel("share that is right")
        axes.set_aspect("equal")
        return inline(figure, "calibration")


def window(place: int, values: Array) -> Markup:
    """A window [T, F] of series, the input number `place`."""
    name = f"window-{place}"
    with drawing(name):
        figure = blank(220, 130)
        axes = figure.add_subplot()
        for number, series in enumerate(np.asarray(values).T[: len(SERIES)]):
            axes.plot(range(1 - len(series), 1), series, color=SERIES[number], marker="." if len(series) < 3 else "")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(3))
        return inline(figure, name)
