"""The steps that prove what variants are worth, and make them available: evaluate and publish."""

import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

import service
from training import classifier, page, plots, release, serving, session, statistics
from training import evaluate as evaluation
from training import publish as publishing
from training.data.split import Dataset
from training.evaluate import Candidate, Measured
from training.machine import current_commit, machine
from training.publish import Published
from training.release import Variant
from training.report import Report
from training.steps.journal import Journal

FIGURES = "figures.json"
JSON, HTML = "report.json", "report.html"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The figures of every variant, and the commit that they were taken at; None outside a work tree."""

    commit: str | None
    figures: Mapping[str, Measured]


def evaluate(journal: Journal, variants: Sequence[Variant], dataset: Dataset) -> Evaluation:
    """Every variant's figures on the test images, taken through the service; the teacher is the first variant."""
    recipe = journal.recipe

    def action(folder: Path) -> None:
        candidates = [
            Candidate(name=variant.name, parent=variant.parent, size=variant.model.stat().st_size)
            for variant in variants
        ]
        with tempfile.TemporaryDirectory() as scratch:
            repository = Path(scratch)
            for variant in variants:
                publishing.publish(repository, release.unmeasured(variant, recipe, dataset))
            with serving.serving(repository, [variant.name for variant in variants]) as served:
                figures = evaluation.evaluate(
                    served,
                    candidates,
                    dataset.test,
                    dataset.classes,
                    settings=recipe.evaluate,
                    console=journal.console,
                )
        told = Evaluation(commit=current_commit(), figures=figures)
        (folder / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1))

    inputs = {
        "test": dataset.test,
        "settings": recipe.evaluate,
        "machine": msgspec.to_builtins(machine()),
        **{variant.name: variant.model for variant in variants},
    }
    code = (sys.modules[__name__], evaluation, statistics, serving, release, publishing, classifier, session, service)
    journal.do("evaluate", inputs, code, action, lambda: f"{len(variants)} variants, through the service")
    return msgspec.json.decode(journal.path("evaluate", FIGURES).read_bytes(), type=Evaluation)


def tell(journal: Journal, report: Report, dataset: Dataset) -> None:
    """Write `report.json` and `report.html` into the run's folder."""

    def action(folder: Path) -> None:
        (folder / JSON).write_bytes(report.to_json())
        (folder / HTML).write_text(page.render(report, dataset), encoding="utf-8")

    inputs = {
        "report": msgspec.to_builtins(report),
        "test": dataset.test,
        "template": page.TEMPLATE,
        "style": page.STYLE,
    }
    journal.do("report", inputs, (page, plots), action, lambda: str(journal.path("report", HTML)))


def publish(
    journal: Journal,
    repository: Path,
    variants: Sequence[Variant],
    dataset: Dataset,
    report: Report,
    *,
    keep: int | None,
) -> tuple[Published, ...]:
    """Every variant under its own name and the chosen one under the family's, or nothing if the goal is missed."""
    start = time.perf_counter()
    if not report.verdict.goal_met:
        journal.note("publish", start, cached=False, result="nothing: the goal isn't met")
        return ()
    releases = release.measured(variants, journal.recipe, dataset, report.variants, report.verdict)
    published = tuple(publishing.publish(repository, one, keep=keep) for one in releases)
    journal.note(
        "publish", start, cached=not any(one.new or one.renewed for one in published), result=f"{len(published)} models"
    )
    return published
