"""The plots of variants that were compared."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, LogLocator
from matplotlib.transforms import Bbox

from training.drawing import INK, MARKERS, MUTED, SERIES, blank, drawing, inline
from training.evaluate import Measured

LARGEST_MARKER, SMALLEST_MARKER = 420.0, 16.0
"""Areas in square points; a file that is twice as large has twice the area, down to what can still be seen."""


@dataclass(frozen=True, kw_only=True)
class Spot:
    """A variant in the Pareto plot: ms at batch 1, accuracy and its interval in percent, radius in points, colour."""

    x: float
    y: float
    low: float
    high: float
    radius: float
    colour: str

    @classmethod
    def of(cls, index: int, figures: Measured, largest: int) -> "Spot":
        """The spot of variant number `index`, next to whose file the `largest` has the largest marker."""
        share, area = figures.accuracy, max(SMALLEST_MARKER, LARGEST_MARKER * figures.size / largest)
        return cls(
            x=figures.compute_ms["1"],
            y=share.value * 100,
            low=share.low * 100,
            high=share.high * 100,
            radius=area**0.5 / 2,
            colour=SERIES[index % len(SERIES)],
        )


def pareto(variants: Mapping[str, Measured], chosen: str, remark: str) -> Markup:
    """Accuracy with its interval against the worker's time at batch 1, area by file size, and the front of the best.

    The chosen one has a ring, and `remark` behind its name.
    """
    with drawing("pareto"):
        figure = blank(400, 310)
        axes = figure.add_subplot()
        largest = max(figures.size for figures in variants.values())
        spots = {name: Spot.of(index, one, largest) for index, (name, one) in enumerate(variants.items())}
        slowest = max(figures.compute_ms["1"] for figures in variants.values())
        axes.set_xlim(0, slowest * 1.15)
        for name, spot in spots.items():
            axes.vlines(spot.x, spot.low, spot.high, colors=spot.colour, linewidth=1.2)
            axes.scatter([spot.x], [spot.y], s=4 * spot.radius**2, c=spot.colour, zorder=3)
            if name == chosen:
                ring = 4 * (spot.radius + 3.5) ** 2
                axes.scatter([spot.x], [spot.y], s=ring, facecolors="none", edgecolors=INK, zorder=4)
        stairs = _stairs([variants[name] for name in pareto_front(variants)], slowest * 1.15)
        axes.plot(*zip(*stairs, strict=True), color=MUTED, linewidth=1.1, linestyle="--")
        axes.set_xlabel("compute time of one image, ms")
        axes.set_ylabel("accuracy, %")
        figure.draw_without_rendering()  # only now is it known what lies where
        figure.set_layout_engine("none")
        taken = [box for spot in spots.values() for box in _boxes(axes, spot)]
        taken += [_box(axes, *segment, 1.0) for segment in pairwise(stairs)]
        for name in sorted(spots, key=lambda name: name != chosen):
            text = f"{name} ({remark})" if name == chosen else name
            _label(axes, text, spots[name], taken)
        return inline(figure, "pareto")


def pareto_front(variants: Mapping[str, Measured]) -> list[str]:
    """The variants, fastest first, that are more accurate than every faster one."""
    front: list[str] = []
    for name in sorted(variants, key=lambda name: (variants[name].compute_ms["1"], -variants[name].accuracy.value)):
        if not front or variants[name].accuracy.value > variants[front[-1]].accuracy.value:
            front.append(name)
    return front


def _stairs(front: Sequence[Measured], end: float) -> list[tuple[float, float]]:
    """The corners of the line below which a variant is beaten: level until the next of the front begins, or `end`."""
    xs = [one.compute_ms["1"] for one in front]
    levels = [one.accuracy.value * 100 for one in front]
    return [(x, level) for *ends, level in zip(xs, [*xs[1:], end], levels, strict=True) for x in ends]


def latency(variants: Mapping[str, Measured]) -> Markup:
    """The median request by batch size, with a whisker that ends at the 99th percentile; logarithmic."""
    with drawing("latency"):
        figure, axes, sizes = _by_batch(variants)
        for index, figures in enumerate(variants.values()):
            colour, marker = SERIES[index % len(SERIES)], MARKERS[index % len(MARKERS)][0]
            xs = [place + (index - (len(variants) - 1) / 2) * 0.07 for place in range(len(sizes))]
            medians = [figures.latency_ms[size].p50 for size in sizes]
            axes.plot(xs, medians, color=colour, marker=marker)
            axes.vlines(xs, medians, [figures.latency_ms[size].p99 for size in sizes], colors=colour, linewidth=1.2)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(LogLocator(subs=()))
        axes.set_ylabel("request, ms (p50 to p99)")
        return inline(figure, "latency")


def throughput(variants: Mapping[str, Measured]) -> Markup:
    """Images a second by batch size."""
    with drawing("throughput"):
        figure, axes, sizes = _by_batch(variants)
        for index, figures in enumerate(variants.values()):
            rates = [figures.images_per_second[size] for size in sizes]
            axes.plot(
                range(len(sizes)), rates, color=SERIES[index % len(SERIES)], marker=MARKERS[index % len(MARKERS)][0]
            )
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_ylabel("images per second")
        return inline(figure, "throughput")


def _by_batch(variants: Mapping[str, Measured]) -> tuple[Figure, Axes, list[str]]:
    """An empty plot with a place for each batch size, and the sizes: 1, 8 and 32 lie equally far apart."""
    figure = blank(400, 270)
    axes = figure.add_subplot()
    sizes = sorted(next(iter(variants.values())).latency_ms, key=int)
    axes.set_xticks(range(len(sizes)), sizes)
    axes.set_xlim(-0.3, len(sizes) - 0.7)
    axes.set_xlabel("images in a request")
    return figure, axes, sizes


def _label(axes: Axes, text: str, spot: Spot, taken: list[Bbox]) -> None:
    """Write a label beside its spot, where it covers least of what is `taken`, and take that place."""
    at = (spot.x, spot.y)
    label = axes.annotate(text, at, (0, 0), textcoords="offset points", color=spot.colour, fontsize=10.5)
    costs = {}
    for place in _places(spot.radius):
        box = _move(label, place)
        outside = box.width * box.height - _overlap(box, axes.get_window_extent())
        costs[place] = outside + sum(_overlap(box, other) for other in taken)
    best = min(costs, key=lambda place: costs[place])
    taken.append(_move(label, best))
    if math.hypot(*best[:2]) > spot.radius + 10:
        line = {"arrowstyle": "-", "color": spot.colour, "linewidth": 0.7, "shrinkA": 0.0, "shrinkB": spot.radius}
        axes.annotate("", at, best[:2], textcoords="offset points", arrowprops=line)


Place = tuple[float, float, str, str]
"""Where a label may stand: its distance from the point in points, and how it is aligned with that spot."""


def _places(radius: float) -> Iterator[Place]:
    for far in (6.0, 16.0, 28.0):
        away, near = radius + far, radius * 0.7 + far * 0.6
        yield away, 0.0, "left", "center"
        yield -away, 0.0, "right", "center"
        for sign, align in ((1, "bottom"), (-1, "top")):
            yield near, sign * near, "left", align
            yield -near, sign * near, "right", align
            yield 0.0, sign * away, "center", align


def _move(label: Annotation, place: Place) -> Bbox:
    label.xyann = place[:2]
    label.set(horizontalalignment=place[2], verticalalignment=place[3])
    return label.get_window_extent()


def _boxes(axes: Axes, spot: Spot) -> Iterator[Bbox]:
    yield _box(axes, (spot.x, spot.y), (spot.x, spot.y), spot.radius + 1)
    yield _box(axes, (spot.x, spot.low), (spot.x, spot.high), 1.5)


def _box(axes: Axes, start: tuple[float, float], end: tuple[float, float], half: float) -> Bbox:
    """What a level or upright stroke of twice `half` points covers."""
    (left, bottom), (right, top) = sorted(tuple(at) for at in axes.transData.transform([start, end]))
    return Bbox.from_extents(left - half, min(bottom, top) - half, right + half, max(bottom, top) + half)


def _overlap(first: Bbox, second: Bbox) -> float:
    common = Bbox.intersection(first, second)
    return 0.0 if common is None else float(common.width * common.height)
