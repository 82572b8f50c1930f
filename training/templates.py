"""What all pages have in common: how templates are filled, how figures are written, how JSON lies inside a page.

`page_base.html.j2` is the frame of every page, `page_parts.html.j2` what several show, `page.css` how all look.
"""

from pathlib import Path
from typing import Any

import msgspec
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).parent
FRAME, PARTS, STYLE = FOLDER / "page_base.html.j2", FOLDER / "page_parts.html.j2", FOLDER / "page.css"
SHARED = {"frame": FRAME, "parts": PARTS, "style": STYLE}
"""The files that every page is made of, for a step's key."""


def fill(template: Path, **told: Any) -> str:
    """The page, HTML, that `template` makes of what it is `told`. Texts are escaped; whatever it lacks is an error."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "megabytes": megabytes,
        "times": times,
        "chance": chance,
        "short": short,
        "settings": settings,
    }
    return environment.get_template(template.name).render(told)


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 in percent, without the sign."""
    return f"{share * 100:.{digits}f}"


def megabytes(size: int) -> str:
    """Bytes in MB, with more digits for little files."""
    return f"{size / 1e6:.{2 if size >= 100_000 else 3}f}"


def times(factor: float) -> str:
    """A factor; one below 1 never looks like 1."""
    text = f"{factor:.2f}"
    return f"{factor:.6f}".rstrip("0") if text == "1.00" and factor < 1 else text


def chance(p_value: float) -> str:
    """A p value as it is written."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def short(value: float) -> str:
    """A figure of whatever unit, with four digits that count."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def settings(value: Any) -> str:
    """Settings as they stand in a recipe."""
    return str(yaml.safe_dump(msgspec.to_builtins(value), sort_keys=False, allow_unicode=True))


def embedded(report: bytes) -> Markup:
    """A report's JSON, fit to stand in a `script` element: nothing in it can end that element."""
    text = msgspec.json.format(report, indent=0).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - nothing is left to escape
