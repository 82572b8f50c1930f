"""The step that leaves what a run came to in its folder: for programs, as a page, and in a line."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import msgspec

from training import curves, diagnosis, drawing, look, pictures, shown_fit, templates
from training.durable import put
from training.steps.journal import Journal, R
from training.summary import SUMMARY, Summary

JSON, HTML = "report.json", "report.html"
NOTHING: Mapping[str, Any] = {}


class Report(Protocol):
    """Whatever a run came to."""

    def to_json(self) -> bytes:
        """All of it as JSON."""
        ...


def tell(
    journal: Journal[R],
    report: Report,
    summary: Summary,
    render: Callable[[], str],
    *,
    page: ModuleType,
    code: Sequence[ModuleType] = (),
    inputs: Mapping[str, Any] = NOTHING,
) -> None:
    """Write `report.json`, `report.html` and `summary.json` into the run's folder.

    `render` makes the page, by the module `page` and its TEMPLATE; `inputs` and `code` decide what is on it beside the
    report.
    """

    def action(folder: Path) -> None:
        put(folder / JSON, report.to_json())
        put(folder / HTML, render().encode())
        put(folder / SUMMARY.name, summary.to_json())

    told = {
        **inputs,
        "report": msgspec.to_builtins(report),
        "summary": msgspec.to_builtins(summary),
        "template": page.TEMPLATE,
        **templates.SHARED,
    }
    shared = (templates, shown_fit, curves, diagnosis, drawing, look, pictures)
    journal.do("report", told, (page, *code, *shared), action, lambda: str(journal.path("report", HTML)))
