"""A search as one page that needs nothing else: no script, font, picture or address outside of it."""

import base64
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from training.tuning.tuned import Tuned, shown

FOLDER = Path(__file__).parent
TEMPLATE = "page.html.j2"


def render(tuned: Tuned, pictures: Mapping[str, str]) -> str:
    """The page, HTML, with `pictures`, SVG by name; the same search gives the same page."""
    environment = Environment(
        loader=FileSystemLoader((FOLDER, FOLDER.parent)),  # the style is that of all pages
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["shown"] = shown
    return environment.get_template(TEMPLATE).render(
        tuned=tuned,
        ranked=tuned.ranked(),
        keys=list(tuned.best.values),
        pictures={name: _address(picture) for name, picture in pictures.items()},
    )


def _address(picture: str) -> str:
    """A picture as a data address."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"
