"""How plots are drawn that lie inside a page, as SVG: text stays text, and the colours are the page's own.

Each is drawn for about the width of a phone, so that a page may enlarge it and never has to shrink its text much.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

from training.look import Look

INK, MUTED, RULE = "#010101", "#020202", "#030303"
SERIES = ("#040000", "#040001", "#040002", "#040003", "#040004", "#040005")
PAGE = Look(ink=INK, muted=MUTED, rule=RULE, series=SERIES)
COLOURS = {INK: "ink", MUTED: "muted", RULE: "rule", **{colour: f"series-{i}" for i, colour in enumerate(SERIES)}}
"""What is drawn in one of these is shown in the page's colour of that name, which is another by day and by night."""

MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"))
"""A series' marker in a plot, and how a legend in text shows it."""


@contextmanager
def drawing(name: str) -> Iterator[None]:
    """Within it, figures look as the page does, and the ids in their SVG depend on `name` alone."""
    style: Any = {**PAGE.style(), "svg.hashsalt": name}
    with mpl.rc_context(style):
        yield


def blank(width: int, height: int) -> Figure:
    """An empty figure of so many points, which an SVG counts as its units."""
    return Figure(figsize=(width / 72, height / 72), dpi=72)


def inline(figure: Figure, name: str) -> Markup:
    """The figure as an `svg` element: no metadata, no namespaces, ids that begin with `name`, the page's colours."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(drawn.getvalue())  # noqa: S314 - written a line above
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.rpartition("}")[2] in {"metadata", "style"}:
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {key.rpartition("}")[2]: _value(key, text, name) for key, text in element.attrib.items()}
    root.attrib = {"viewBox": root.attrib["viewBox"], "class": "plot", "aria-hidden": "true"}
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - the writer escapes what it writes


def _value(key: str, text: str, name: str) -> Any:
    if key == "id":
        return f"{name}-{text}"
    if key.endswith("href"):
        return f"#{name}-{text.removeprefix('#')}"
    text = text.replace("url(#", f"url(#{name}-").replace("'DejaVu Sans'", "var(--font)")
    return re.sub("#[0-9a-f]{6}", lambda found: _colour(found[0]), text)


def _colour(hexadecimal: str) -> str:
    return f"var(--{COLOURS[hexadecimal]})" if hexadecimal in COLOURS else hexadecimal
