"""The whole story of one network for one problem: data in; a measured, judged and published model out.

Acts as in `training.run`: each takes the ones before it along, and what is done already isn't done again.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from training.data.checks import Finding
from training.data.material import Material
from training.diagnosis import diagnose
from training.machine import machine
from training.network_recipe import NetworkRecipe
from training.network_report import NetworkReport
from training.signing_key import SigningKey
from training.steps import forming, gathering, judging, teaching, viewing
from training.steps.forming import Formed
from training.steps.journal import Journal
from training.steps.teaching import Learned
from training.suggestion import check_variant
from training.tasks.task import Game
from training.tuning.tuned import Tuned

VARIANTS: tuple[str, ...] = ()
"""What becomes of a recipe; here the network decides it."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The data and what was found in it, the trained network, and the files of all its forms."""

    material: Material
    findings: tuple[Finding, ...]
    learned: Learned
    formed: tuple[Formed, ...]


def train(journal: Journal[NetworkRecipe]) -> tuple[Material, tuple[Finding, ...], Learned]:
    """Data and network."""
    material, findings = gathering.gather(journal)
    return material, findings, teaching.learn(journal, material)


def tune(journal: Journal[NetworkRecipe], *, given: str, trials: int, minutes: float | None) -> Tuned:
    """Better settings of the recipe `given` by name or file: `trials` in all, for so many `minutes` at most."""
    from training.steps import tuning  # what it tries with takes a second to import, and nothing else needs it

    material, _ = gathering.gather(journal)
    return tuning.tune(journal, material, given=given, trials=trials, minutes=minutes)


def export(journal: Journal[NetworkRecipe]) -> Exported:
    """The network as files that were compared with it."""
    material, findings, learned = train(journal)
    formed = forming.export_all(journal, learned.checkpoint, material)
    return Exported(material=material, findings=findings, learned=learned, formed=formed)


def evaluate(journal: Journal[NetworkRecipe]) -> tuple[Exported, NetworkReport]:
    """The file that is served, measured on what nothing was learnt from, beside its baselines, and judged."""
    exported = export(journal)
    recipe, dataset, first = journal.recipe, exported.material.dataset, exported.formed[0]
    material = viewing.view(journal, exported.material)
    judged = judging.evaluate(journal, first, exported.learned, material)
    met, goal = judging.judge(judged, recipe.problem, recipe.goal)
    report = NetworkReport(
        name=recipe.name,
        profile=recipe.profile,
        about=recipe.about,
        family=recipe.family,
        problem=recipe.kind,
        headline=recipe.problem.headline,
        better=recipe.problem.better,
        settings=recipe.all_settings,
        parts={"train": len(dataset.train), "validation": len(dataset.validation), "test": len(dataset.test)},
        findings=exported.findings,
        fit=exported.learned.fitted,
        diagnosis=diagnose(exported.learned.fitted, game=isinstance(recipe.task, Game)),
        network=exported.learned.facts,
        size=first.model.stat().st_size,
        parity=first.parity,
        judged=judged,
        goal_met=met,
        goal=goal,
        machine=machine(),
    )
    judging.tell(journal, report, exported.material)
    return exported, report


def publish(
    journal: Journal[NetworkRecipe], repository: Path, *, keep: int | None = None, key: SigningKey | None = None
) -> NetworkReport:
    """The model under the family's name, its other forms behind it; nothing if the goal is missed.

    `keep` is how many versions of each stay in `repository`; `key` signs their cards. Raises HoneError or OSError, as
    the other acts do.
    """
    exported, report = evaluate(journal)
    published = judging.publish(
        journal,
        repository,
        exported.formed,
        learned=exported.learned,
        material=exported.material,
        report=report,
        keep=keep,
        key=key,
    )
    return replace(report, published=published)


def model_of(journal: Journal[NetworkRecipe], variant: str) -> tuple[str, Path]:
    """The name and the file of a form. Raises SettingsError that names those there are, which the network decides."""
    formed = {one.variant: one for one in export(journal).formed}
    check_variant(variant, tuple(formed))
    return formed[variant].name(journal.recipe.family), formed[variant].model
