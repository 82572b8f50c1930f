"""The story of a search: a trained network in; the variants that are worth having, measured and judged, out."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from training import compression_page, language, network
from training.compression.search.budget import Budget
from training.compression.search.design import TEACHER, Design
from training.compression.search.explore import Search
from training.compression.search.front import choose, front, losing, settle
from training.compression.search.trial import Trial
from training.compression_release import releases
from training.compression_report import CompressionReport, Row
from training.compression_table import print_trial
from training.deadline import Deadline
from training.durable import put
from training.language_recipe import LanguageRecipe
from training.machine import current_commit, machine
from training.publish import Published, Release
from training.recipe import Recipe
from training.signing_key import SigningKey
from training.specimens.file import FileSettings, FileSpecimen
from training.specimens.images import ImageSpecimen
from training.specimens.language import LanguageSpecimen
from training.specimens.network import NetworkSpecimen
from training.specimens.specimen import Specimen
from training.steps import releasing
from training.steps.exploring import Exploration
from training.steps.journal import Journal

FOLDER, JSON, HTML = "compress", "compress.json", "compress.html"


def compress(
    journal: Journal[Any],
    budget: Budget,
    *,
    repository: Path | None = None,
    keep: int | None = None,
    key: SigningKey | None = None,
) -> CompressionReport:
    """The variants of a recipe's network that were tried under `budget`, and the one to have.

    Trials are judged on validation inputs; those that are worth having are measured on the test part in the end, and
    what that refutes gives way to the next one. What an interrupted search did isn't done again. With a `repository`
    they are published there, the chosen one under the family's name too, unless the goal is missed, or somebody
    interrupted it; `keep` is how many versions of each stay, and `key` signs their cards. Raises what the acts of
    `training.network` raise.
    """
    recipe, deadline = journal.recipe, Deadline.of(budget.minutes)
    specimen = _specimen(journal)
    subject = Exploration(specimen, deadline)

    def told(trial: Trial) -> None:
        print_trial(trial, specimen.headline, budget, journal.console)
        subject.reserve(_wanted(search.trials, budget))

    search = Search(subject, budget, told)
    ended = search.run()
    worth = _wanted(search.trials, budget)
    tested = subject.tested(worth, {Design(), choose(search.trials, budget).chosen.design})
    stands = {name: one.stands(budget, tested[TEACHER], smaller=specimen.smaller) for name, one in tested.items()}
    choice = settle(search.trials, budget, stands)
    wanted = tuple(one for one in worth if one.name in tested)
    slower = tuple(one.design for one in losing(search.trials, budget.objective) if one.design not in wanted)
    report = CompressionReport(
        name=recipe.name,
        profile=recipe.profile,
        about=recipe.about,
        headline=specimen.headline,
        smaller=specimen.smaller,
        doubt=specimen.doubt,
        budget=budget,
        rows=_rows(search.trials),
        front=tuple(one.name for one in front(search.trials, budget.objective)),
        chosen=choice.chosen.name,
        refuted=tuple(one.name for one in choice.refuted),
        met=choice.met,
        nearest=None if choice.nearest is None else choice.nearest.name,
        tested=tested,
        evidence=subject.explained((*wanted, *slower), {Design(), choice.chosen.design}, rows=budget.rows),
        shown=specimen.counted(budget.rows),
        ended=ended,
        seed=getattr(recipe, "seed", None),
        minutes=round(journal.spent / 60, 2),
        commit=current_commit(),
        machine=machine(),
    )
    if repository is not None and ended != "interrupted":
        published = _publish(journal, repository, report, subject, wanted, keep=keep, key=key)
        report = replace(report, published=published)
    _save(journal.folder / FOLDER, report)
    return report


def _save(folder: Path, report: CompressionReport) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    put(folder / JSON, report.to_json())
    put(folder / HTML, compression_page.render(report).encode())


def _publish(
    journal: Journal[Any],
    repository: Path,
    report: CompressionReport,
    subject: Exploration,
    designs: Sequence[Design],
    *,
    keep: int | None,
    key: SigningKey | None,
) -> tuple[Published, ...]:
    def made() -> Iterable[Release]:
        told = [one for one in designs if one.name in report.evidence]
        forms = {network: subject.forms(network) for network in dict.fromkeys(one.network for one in told)}
        for one in told:
            if forms[one.network] and one != Design(network=one.network):
                names = ", ".join(forms[one.network])
                journal.warn(f"{one.name}: was measured alone; what else is served ({names}) is in floating point")
        return releases(report, {one.name: subject.release(one) for one in told}, forms, told)

    return releasing.release(journal, repository, made, goal_met=report.met, keep=keep, key=key)


def _wanted(trials: Sequence[Trial], budget: Budget) -> tuple[Design, ...]:
    """What is worth having of these trials: the teacher, the front, and what is chosen."""
    kept = (trials[0], *front(trials, budget.objective), choose(trials, budget).chosen)
    return tuple(dict.fromkeys(one.design for one in kept))


def _specimen(journal: Journal[Any]) -> Specimen:
    if isinstance(journal.recipe, LanguageRecipe):
        return LanguageSpecimen(journal, language.export(journal))
    if isinstance(journal.recipe, FileSettings):
        return FileSpecimen(journal)
    if isinstance(journal.recipe, Recipe):
        return ImageSpecimen(journal)
    return NetworkSpecimen(journal, network.export(journal))


def _rows(trials: Sequence[Trial]) -> tuple[Row, ...]:
    return tuple(
        Row(
            variant=one.name,
            parent=None if one.design.parent is None else one.design.parent.name,
            network=one.design.network.name,
            numbers=one.design.numbers,
            runtime=str(one.design.runtime),
            score=None if one.failed else one.score,
            drop=None if one.failed else one.drop,
            gain=None if one.failed else one.gain,
            made=one.made,
            failed=one.failed,
        )
        for one in trials
    )
