"""The steps that prove what variants are worth, and make them available: evaluate and publish."""

import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

import service
from training import baselines, gain, graph, model_config, page, plots, release, serving, session, statistics, timing
from training import evaluate as evaluation
from training import publish as publishing
from training.baselines.baseline import Baseline
from training.baselines.logistic_regression import LogisticRegression
from training.baselines.majority_class import MajorityClass
from training.bootstrap import Figure
from training.data.split import Dataset
from training.durable import put
from training.evaluate import Candidate, Measured
from training.machine import current_commit, machine
from training.publish import Published, Release
from training.release import Variant
from training.report import Report
from training.signing_key import SigningKey
from training.statistics import Share
from training.steps import fitting, releasing, telling
from training.steps.journal import Journal
from training.steps.learning import Facts
from training.summary import Summary

FIGURES = "figures.json"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The figures of every variant and baseline, and the commit they were taken at; None outside a work tree."""

    commit: str | None
    figures: Mapping[str, Measured]
    baselines: Mapping[str, Share]


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
        told = Evaluation(commit=current_commit(), figures=figures, baselines=_baselines(dataset))
        put(folder / FIGURES, msgspec.json.format(msgspec.json.encode(told), indent=1))

    inputs = {
        "train": dataset.train,
        "test": dataset.test,
        "settings": recipe.evaluate,
        "machine": msgspec.to_builtins(machine()),
        **{variant.name: variant.model for variant in variants},
    }
    code = (
        sys.modules[__name__],
        evaluation,
        statistics,
        baselines,
        timing,
        gain,
        serving,
        release,
        publishing,
        model_config,
        graph,
        session,
        service,
    )
    journal.do("evaluate", inputs, code, action, lambda: f"{len(variants)} variants, through the service")
    return msgspec.json.decode(journal.path("evaluate", FIGURES).read_bytes(), type=Evaluation)


def _baselines(dataset: Dataset) -> Mapping[str, Share]:
    """What the commonest class and a linear model get right of the test images."""
    test, classes = dataset.test, len(dataset.classes)
    models: Mapping[str, Baseline] = {
        "majority class": MajorityClass(dataset.train, classes=classes),
        "logistic regression": LogisticRegression(dataset.train, classes=classes),
    }
    return {
        name: statistics.share(model.predict(test.inputs).argmax(axis=1) == test.targets, test.sources)
        for name, model in models.items()
    }


def tell(journal: Journal, report: Report, dataset: Dataset) -> None:
    """Leave the report in the run's folder: for programs, as a page, and in a line."""
    chosen = report.variants[report.verdict.chosen]
    accuracy = chosen.accuracy
    rival = max(report.baselines, key=lambda name: report.baselines[name].value)
    summary = Summary(
        recipe=report.recipe.name,
        profile=report.recipe.profile,
        about=report.recipe.about,
        problem="classification",
        network="resnet",
        headline="accuracy",
        smaller=False,
        figure=Figure(value=accuracy.value, low=accuracy.low, high=accuracy.high),
        baseline=rival,
        baseline_value=report.baselines[rival].value,
        goal_met=report.verdict.goal_met,
        goal=report.verdict.goal,
        parameters=_network(report, report.verdict.chosen).parameters,
        size=chosen.size,
        fit_seconds=fitting.seconds(journal, *report.fits),
        latency_ms=chosen.latency_ms["1"],
        commit=report.commit,
        data="digits",
    )
    telling.tell(
        journal,
        report,
        summary,
        lambda: page.render(report, dataset),
        page=page,
        code=(plots,),
        inputs={"test": dataset.test},
    )


def publish(
    journal: Journal,
    repository: Path,
    variants: Sequence[Variant],
    dataset: Dataset,
    report: Report,
    *,
    keep: int | None,
    key: SigningKey | None,
) -> tuple[Published, ...]:
    """Every variant under its own name and the chosen one under the family's, or nothing if the goal is missed."""

    def releases() -> Iterable[Release]:
        return release.measured(variants, journal.recipe, dataset, report.variants, report.verdict)

    return releasing.release(journal, repository, releases, goal_met=report.verdict.goal_met, keep=keep, key=key)


def _network(report: Report, name: str) -> Facts:
    """The network that the variant `name` is a form of: its own, or that of what it was made from."""
    while (variant := name.removeprefix(f"{report.recipe.family}-")) not in report.networks:
        parent = report.variants[name].parent
        assert parent is not None  # a variant without one is a network
        name = parent
    return report.networks[variant]
