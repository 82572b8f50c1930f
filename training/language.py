"""The whole story of a language model: real texts in; a measured, judged and published text generator out.

Acts as in `training.run`: each takes the ones before it along, and what is done already isn't done again.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from training.language_recipe import LanguageRecipe
from training.language_report import LanguageReport
from training.machine import machine
from training.signing_key import SigningKey
from training.steps import fitting, reading, weighing
from training.steps.journal import Journal
from training.steps.reading import Corpus, LearnedDecoder

VARIANTS = (reading.DECODER,)
"""What becomes of a recipe."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The trained network, its texts as tokens, and the file that is served."""

    corpus: Corpus
    learned: LearnedDecoder
    model: Path


def train(journal: Journal[LanguageRecipe]) -> tuple[Corpus, LearnedDecoder]:
    """Texts, tokens and network."""
    corpus = reading.tokenize(journal, reading.load_texts(journal))
    return corpus, reading.learn(journal, corpus)


def export(journal: Journal[LanguageRecipe]) -> Exported:
    """The network as a file that continues texts step by step, compared with it."""
    corpus, learned = train(journal)
    return Exported(corpus=corpus, learned=learned, model=reading.export(journal, learned.checkpoint, corpus))


def evaluate(journal: Journal[LanguageRecipe]) -> tuple[Exported, LanguageReport]:
    """The file, measured on texts that nothing was learnt from, beside an n-gram, and judged."""
    exported = export(journal)
    found = weighing.evaluate(journal, exported.model, journal.recipe.network, exported.corpus)
    met, goal = weighing.judge(found, journal.recipe.goal)
    report = LanguageReport(
        recipe=journal.recipe,
        fit=fitting.history(journal, reading.DECODER),
        network=exported.learned.facts,
        size=exported.model.stat().st_size,
        reading=found,
        goal_met=met,
        goal=goal,
        machine=machine(),
    )
    weighing.tell(journal, report)
    return exported, report


def publish(
    journal: Journal[LanguageRecipe], repository: Path, *, keep: int | None = None, key: SigningKey | None = None
) -> LanguageReport:
    """The model under the family's name; nothing if the goal is missed.

    `keep` is how many versions stay in `repository`; `key` signs their cards. Raises HoneError or OSError, as the other
    acts do.
    """
    exported, report = evaluate(journal)
    published = weighing.publish(journal, repository, exported.model, exported.corpus, report, keep=keep, key=key)
    return replace(report, published=published)


def model_of(journal: Journal[LanguageRecipe], variant: str) -> tuple[str, Path]:  # noqa: ARG001 - there is one
    """The name and the file of one of the `VARIANTS`."""
    return journal.recipe.family, export(journal).model
