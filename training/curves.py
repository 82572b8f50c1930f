"""The learning curves of one fit: losses above, what else validation measures below."""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from training.durable import put
from training.fitted import Fitted
from training.look import PAPER, Look

DOTS_PER_INCH = 160
PERCENT = frozenset({"accuracy", "recall"})
"""Metrics that are shares, and shown in percent."""


def save(path: Path, name: str, fitted: Fitted) -> None:
    """Draw the curves of the fit `name` as a PNG. Raises OSError that names it."""
    with mpl.rc_context(PAPER.style()):  # type: ignore[arg-type] # names are any text to it
        figure = Figure(figsize=(6.4, 2.2 + 1.6 * len(_metrics(fitted))))
        draw(figure, fitted, PAPER)
        figure.axes[0].set_title(name, loc="left")
        figure.legend(loc="outside upper right", ncols=2, frameon=False)
        drawn = BytesIO()
        figure.savefig(drawn, dpi=DOTS_PER_INCH, format="png", metadata={"Software": None})
    put(path, drawn.getvalue())


def draw(figure: Figure, fitted: Fitted, look: Look) -> None:
    """Fill an empty figure: each metric by epoch, and a line at the epoch whose weights were kept."""
    metrics = _metrics(fitted)
    panels: list[Axes] = list(figure.subplots(1 + len(metrics), 1, sharex=True, squeeze=False)[:, 0])
    epochs, best = [epoch.number + 1 for epoch in fitted.epochs], fitted.best + 1
    marker = "." if len(epochs) < 4 else ""
    trained = [epoch.train_loss for epoch in fitted.epochs]
    panels[0].plot(epochs, trained, "--", color=look.series[1], marker=marker, label="training")
    for axes, metric in zip(panels, ("loss", *metrics), strict=True):
        factor, unit = (100, ", %") if metric in PERCENT else (1, "")
        values = [epoch.validation[metric] * factor for epoch in fitted.epochs]
        label = "validation" if axes is panels[0] else None
        axes.plot(epochs, values, color=look.series[0], marker=marker, label=label)
        axes.axvline(best, color=look.ink, linewidth=1.0, linestyle=":")
        axes.set_ylabel(f"{metric}{unit}")
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    if min(trained) >= 0:
        panels[0].set_ylim(bottom=0)
    panels[0].set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    panels[-1].xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    panels[-1].set_xlabel("epoch")
    side, shift = ("right", -4) if best > (epochs[0] + epochs[-1]) / 2 else ("left", 4)
    where: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    panels[0].annotate(f"best: {best}", (best, 1), (shift, -2), ha=side, va="top", **where)


def _metrics(fitted: Fitted) -> list[str]:
    """What validation measures beside the loss."""
    return [name for name in fitted.epochs[0].validation if name != "loss"]
