"""The plots of a search, as SVG files that stand alone: which settings came to what, and which of them decide."""

import io
import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.look import PAPER
from training.tuning.space import Choices, Dimension, Space
from training.tuning.trial import Trial
from training.tuning.tuned import Tuned, shown

COORDINATES, IMPORTANCE = "coordinates", "importance"
BEST, OTHERS = PAPER.series[1], PAPER.series[0]
FAINTEST = 0.15
"""How much is seen of the worst finished trial; the better one is, the more is."""


def draw(tuned: Tuned, space: Space) -> Mapping[str, str]:
    """SVG by name: `coordinates`, and `importance` where enough trials tell it."""
    pictures = {COORDINATES: _svg(_coordinates, COORDINATES, tuned, space)}
    if tuned.importance:
        pictures[IMPORTANCE] = _svg(_importance, IMPORTANCE, tuned, space)
    return pictures


def _svg(fill: Any, name: str, tuned: Tuned, space: Space) -> str:
    """What `fill` draws; the ids in it depend on the `name` alone."""
    style: Any = {**PAPER.style(), "svg.hashsalt": name, "axes.grid": False}
    with mpl.rc_context(style):
        figure = Figure()
        fill(figure, tuned, space)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue().decode()


def _coordinates(figure: Figure, tuned: Tuned, space: Space) -> None:
    """Parallel coordinates: an upright axis for each key and one for the metric, and a line for each trial.

    Source: A. Inselberg, "The plane with parallel coordinates", The Visual Computer 1, 1985.
    """
    figure.set_size_inches(1.9 * (len(space) + 1), 4.2)
    axes = figure.add_subplot()
    finished = [one for one in tuned.ranked() if one.state == "finished"]
    found = [one.value for one in finished if one.value is not None]
    low, high = min(found), max(found)
    for one in tuned.trials:
        if one.state == "pruned":
            axes.plot(range(len(space)), _places(one, space), color=PAPER.muted, alpha=FAINTEST, linewidth=0.8)
    for rank, one in reversed(list(enumerate(finished))):
        end = 0.5 if high == low else ((one.value or 0.0) - low) / (high - low)
        style: dict[str, Any] = {"color": BEST, "linewidth": 2.4}
        if rank:
            style = {"color": OTHERS, "alpha": max(FAINTEST, 1 - rank / len(finished)), "linewidth": 1.2}
        axes.plot(range(len(space) + 1), [*_places(one, space), end], **style)
    for place, (key, dimension) in enumerate(space.items()):
        _axis(axes, place, key, _ticks(dimension))
    _axis(axes, len(space), tuned.watch, [(0.0, shown(low)), (1.0, shown(high))] if high > low else [(0.5, shown(low))])
    axes.set_xlim(-0.3, len(space) + 0.6)
    axes.set_ylim(-0.06, 1.12)
    axes.set_axis_off()


def _places(trial: Trial, space: Space) -> list[float]:
    """Where a trial crosses each axis, from 0 to 1."""
    return [_place(dimension, trial.values[key]) for key, dimension in space.items()]


def _place(dimension: Dimension, value: Any) -> float:
    if isinstance(dimension, Choices):
        return dimension.choices.index(value) / (len(dimension.choices) - 1)
    scale = math.log if dimension.log else float
    low, high = scale(dimension.low), scale(dimension.high)
    return (scale(value) - low) / (high - low)


def _ticks(dimension: Dimension) -> list[tuple[float, str]]:
    values = dimension.choices if isinstance(dimension, Choices) else (dimension.low, dimension.high)
    return [(_place(dimension, value), shown(value)) for value in values]


def _axis(axes: Axes, place: float, name: str, ticks: list[tuple[float, str]]) -> None:
    axes.vlines(place, 0, 1, colors=PAPER.ink, linewidth=1.0)
    axes.text(place, 1.06, name, ha="center", va="bottom", color=PAPER.ink, fontsize=9)
    for at, text in ticks:
        # On paper of its own: lines begin where it stands.
        paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
        axes.text(place + 0.05, at, text, ha="left", va="center", color=PAPER.muted, fontsize=8, bbox=paper)


def _importance(figure: Figure, tuned: Tuned, space: Space) -> None:  # noqa: ARG001 - as its sibling
    figure.set_size_inches(6.4, 1.2 + 0.35 * len(tuned.importance))
    axes = figure.add_subplot()
    names, shares = list(tuned.importance), [share * 100 for share in tuned.importance.values()]
    bars = axes.barh(names, shares, color=OTHERS, height=0.6)
    axes.bar_label(bars, labels=[f"{share:.0f} %" for share in shares], padding=4, color=PAPER.ink)
    axes.invert_yaxis()
    axes.set_xlim(0, max(shares) * 1.15)
    axes.set_xlabel(f"share of the differences in {tuned.watch}, %")
