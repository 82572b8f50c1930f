"""The steps that say what a network is worth, and make it available: evaluate, report and publish."""

import math
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import service
from service.artifact.digest import sha256_bytes
from training import (
    baselines,
    bootstrap,
    comparison,
    graph,
    metrics,
    model_config,
    network_page,
    network_plots,
    problems,
    serving,
    session,
    shown_input,
    timing,
)
from training import publish as publishing
from training.bootstrap import Figure
from training.comparison import difference, verdict
from training.data.material import Material
from training.durable import put
from training.machine import current_commit, machine
from training.network_recipe import Goal, NetworkRecipe
from training.network_report import Judged, NetworkReport
from training.problems.inputs import name_of
from training.problems.problem import Problem, Scores
from training.publish import Golden, Published, Release
from training.session import Tensors, open_model
from training.signing_key import SigningKey
from training.steps import fitting, releasing, telling
from training.steps.forming import Formed
from training.steps.journal import Journal
from training.steps.teaching import FIT, Learned
from training.summary import Summary

FIGURES = "figures.json"
GOLDEN_ROWS = 8


def evaluate(journal: Journal[NetworkRecipe], formed: Formed, learned: Learned, material: Material) -> Judged:
    """What the first form is worth on the test part, through the service, beside the baselines."""
    recipe, test = journal.recipe, material.dataset.test
    problem: Problem = recipe.problem

    def action(folder: Path) -> None:
        asked = problem.requests(learned.load(), test, recipe.seed)
        with tempfile.TemporaryDirectory() as scratch:
            release = release_of(recipe, formed, material, first_rows(asked), metrics={}, evidence={})
            publishing.publish(Path(scratch), release)
            with serving.serving(Path(scratch), [recipe.family]) as served:
                answers = timing.predict(served, recipe.family, asked)
                times = timing.time_side_by_side(served, [recipe.family], asked, recipe.evaluate, journal.console)
        rivals = problem.baselines(material)
        judged = Judged(
            commit=current_commit(),
            scores=problem.measure(answers, test, material),
            baselines={name: problem.measure(theirs, test, material) for name, theirs in rivals.items()},
            differences=_differences(problem, answers, rivals, material),
            speed=timing.speed(times[recipe.family]),
            examples=tuple(problem.examples(answers, test, material)),
        )
        put(folder / FIGURES, msgspec.json.format(msgspec.json.encode(judged), indent=1))

    inputs = {
        "model": formed.model,
        "train": material.dataset.train,
        "validation": material.dataset.validation,
        "test": test,
        "classes": list(material.dataset.classes),
        "files": _digests(material),
        "classifier": material.classifier,
        "problem": recipe.problem,
        "seed": recipe.seed,
        "settings": recipe.evaluate,
        "machine": msgspec.to_builtins(machine()),
    }
    named = sys.modules[type(problem).__module__]
    own = (sys.modules[__name__], timing, serving, publishing, model_config, graph, session, bootstrap, comparison)
    journal.do(
        "evaluate",
        inputs,
        (*own, service, problems, metrics, baselines, named),
        action,
        lambda: f"{len(test)} test inputs, through the service",
    )
    return msgspec.json.decode(journal.path("evaluate", FIGURES).read_bytes(), type=Judged)


def judge(judged: Judged, problem: Problem, goal: Goal) -> tuple[bool, str]:
    """Whether the model is what the recipe demands, and a sentence that says it with figures."""
    name, smaller = problem.headline, problem.better[problem.headline] == "smaller"
    figure = judged.scores.figures[name]
    found = f"{name} {figure.value:.4g} [{figure.low:.4g}, {figure.high:.4g}]"
    best = judged.best_baseline(name, smaller=smaller)
    sign = 1 if smaller else -1
    missed = []
    if goal.value is not None and not sign * figure.value <= sign * goal.value:
        missed.append(f"asked is {'at most' if smaller else 'at least'} {goal.value:.4g}")
    if best is not None:
        rival = judged.baselines[best].figures[name].value
        found += f", {best} {rival:.4g}"
        if best in judged.differences:
            found += f" ({verdict(judged.differences[best], smaller=smaller)})"
        if goal.match_baselines and not sign * figure.value <= sign * rival:
            missed.append(f"worse than {best}")
    if not math.isfinite(figure.value):
        missed.append("it is no number")
    return not missed, f"goal missed: {found}; {'; '.join(missed)}" if missed else f"goal met: {found}"


def _differences(
    problem: Problem, answers: Tensors, rivals: Mapping[str, Tensors], material: Material
) -> Mapping[str, Figure]:
    """By how much the figure that decides exceeds that of each of `rivals`, where they can be compared in pairs."""
    test = material.dataset.test
    own = problem.deciding(answers, test, material)
    found = {name: problem.deciding(theirs, test, material) for name, theirs in rivals.items()}
    if own is None:
        return {}
    drawn = problem.resampling(test)
    return {name: difference(own, one, test.sources, drawn) for name, one in found.items() if one is not None}


def tell(journal: Journal[NetworkRecipe], report: NetworkReport, material: Material) -> None:
    """Leave the report in the run's folder: for programs, as a page, and in a line."""
    figures = report.judged.scores.figures
    best = report.best_baseline
    summary = Summary(
        recipe=report.name,
        profile=report.profile,
        about=report.about,
        problem=report.problem,
        network=report.network.kind,
        headline=report.headline,
        smaller=report.smaller,
        figure=figures[report.headline],
        baseline=best,
        baseline_value=None if best is None else report.judged.baselines[best].figures[report.headline].value,
        verdict=None if best is None else report.verdicts.get(best),
        goal_met=report.goal_met,
        goal=report.goal,
        parameters=report.network.parameters,
        size=report.size,
        fit_seconds=fitting.seconds(journal, FIT),
        latency_ms=report.judged.speed.latency_ms["1"],
        commit=report.judged.commit,
        data=report.settings["data"]["source"],
    )
    telling.tell(
        journal,
        report,
        summary,
        lambda: network_page.render(report, material),
        page=network_page,
        code=(network_plots, shown_input),
        inputs={
            "train": material.dataset.train,
            "test": material.dataset.test,
            "classes": list(material.dataset.classes),
            "features": list(material.features),
            "files": _digests(material),
        },
    )


def publish(
    journal: Journal[NetworkRecipe],
    repository: Path,
    formed: Sequence[Formed],
    *,
    learned: Learned,
    material: Material,
    report: NetworkReport,
    keep: int | None,
    key: SigningKey | None,
) -> tuple[Published, ...]:
    """The first form under the family's name, the others behind it; nothing if the goal is missed."""
    recipe = journal.recipe

    def releases() -> Iterable[Release]:
        network = learned.load()
        forms = recipe.problem.forms(network, material)
        figures, evidence = _metrics(report), _evidence(report)
        # The family's name comes last: it changes when everything that belongs to it is there.
        for one in reversed(formed):
            form = forms[one.variant]
            golden = dict(zip(form.signature.inputs, form.samples, strict=True))
            if one.first:
                golden = dict(recipe.problem.requests(network, material.dataset.test, recipe.seed))
            yield release_of(recipe, one, material, first_rows(golden), metrics=figures, evidence=evidence)

    return releasing.release(journal, repository, releases, goal_met=report.goal_met, keep=keep, key=key)


def release_of(
    recipe: NetworkRecipe,
    formed: Formed,
    material: Material,
    golden: Tensors,
    *,
    metrics: Mapping[str, float],
    evidence: Mapping[str, Any],
) -> Release:
    """A form as a model version: under the family's name if it is the one that is measured, else with its own."""
    labels = "".join(f"{label}\n" for label in material.dataset.classes) if formed.labels else ""
    taken = next(iter(golden))
    return Release(
        name=formed.name(recipe.family),
        model=formed.model,
        config=formed.config(recipe.family),
        beside={model_config.LABELS: labels.encode()} if labels else {},
        inside=dict(material.files),
        golden=Golden(inputs=golden, outputs=open_model(formed.model, runtime=formed.runtime)(golden)),
        family=recipe.family,
        variant=formed.variant,
        parent=None,
        chosen=None,
        metrics=metrics,
        evidence=evidence,
        # What isn't made of the data (noise) is no picture or text of anybody's.
        transforms={taken: material.steps}
        if material.steps and taken == name_of(material.dataset.train.inputs)
        else {},
        machine=machine(),
    )


def _digests(material: Material) -> dict[str, str]:
    return {name: sha256_bytes(content) for name, content in material.files.items()}


def first_rows(tensors: Tensors) -> Tensors:
    """As many rows as golden samples have."""
    return {name: array[:GOLDEN_ROWS] for name, array in tensors.items()}


def _metrics(report: NetworkReport) -> dict[str, float]:
    """Single figures in base units, fit for a gauge."""
    judged = report.judged
    headline = judged.scores.figures[report.headline]
    latency = judged.speed.latency_ms["1"]
    told = {name.replace(" ", "_"): figure.value for name, figure in judged.scores.figures.items()}
    told |= {f"{report.headline}_low": headline.low, f"{report.headline}_high": headline.high}
    for name, scores in judged.baselines.items():
        told[f"{report.headline}_of_{name.replace(' ', '_')}"] = scores.figures[report.headline].value
    told |= {"latency_p50_seconds": latency.p50 / 1e3, "latency_p99_seconds": latency.p99 / 1e3}
    return {name: value for name, value in told.items() if np.isfinite(value)}


def _evidence(report: NetworkReport) -> dict[str, Any]:
    """How the metrics were obtained, as plain JSON."""
    return {
        "measured": "through the service over HTTP, binary tensors, one client",
        "recipe": {"name": report.name, "profile": report.profile, "settings": report.settings},
        "inputs": dict(report.parts),
        "intervals": "bootstrap over sources, of series in blocks, 95 %; shares: Wilson at the effective number",
        "scores": _figures(report.judged.scores),
        "baselines": {name: _figures(scores) for name, scores in report.judged.baselines.items()},
        "differences": {name: asdict(one) for name, one in report.judged.differences.items()},
        "speed": asdict(report.judged.speed),
        "parity": report.parity,
        "verdict": report.goal,
    }


def _figures(scores: Scores) -> dict[str, Any]:
    """All but the curves, which are many numbers that plots are made of."""
    return {name: value for name, value in asdict(scores).items() if name not in {"roc", "calibration"}}
