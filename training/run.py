"""The whole story of one recipe: real images in; measured, judged and published models out.

Each act takes the ones before it along. What is done already isn't done again, so an act may be asked for at any time.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from training.data.split import Dataset
from training.machine import machine
from training.release import Variant
from training.report import Report
from training.signing_key import SigningKey
from training.steps import fitting, learning, making, proving
from training.steps.journal import Journal
from training.steps.learning import Trained
from training.verdict import choose

VARIANTS = (learning.TEACHER, learning.STUDENT, learning.PRUNED, making.INT8)
"""What becomes of a recipe, in the order in which it is made."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """A teacher and what was made of it: the networks, the teacher first, and the model files of all variants."""

    dataset: Dataset
    networks: tuple[Trained, ...]
    variants: tuple[Variant, ...]


def train(journal: Journal) -> tuple[Dataset, Trained]:
    """Data and teacher."""
    dataset = learning.load_data(journal)
    return dataset, learning.teach(journal, dataset)


def descend(journal: Journal) -> Family:
    """The teacher, a student, the teacher pruned, and the best of the latter in INT8, each as a model file."""
    dataset, teacher = train(journal)
    student = learning.distil(journal, teacher, dataset)
    narrower = learning.prune(journal, teacher, dataset)
    pruned = learning.fine_tune(journal, narrower, teacher, dataset)
    networks = (teacher, student, pruned)

    floats = making.export_all(journal, networks, dataset)
    int8 = making.quantize(journal, networks, floats, dataset)
    return Family(dataset=dataset, networks=networks, variants=(*floats, int8))


def evaluate(journal: Journal) -> tuple[Family, Report]:
    """All variants, measured side by side through the service, judged, and told on a page."""
    family = descend(journal)
    evaluation = proving.evaluate(journal, family.variants, family.dataset)
    report = Report(
        recipe=journal.recipe,
        fits={step: fitting.history(journal, step) for one in family.networks for step in one.facts.steps},
        networks={one.variant: one.facts for one in family.networks},
        variants=evaluation.figures,
        baselines=evaluation.baselines,
        verdict=choose(evaluation.figures, journal.recipe.budget),
        machine=machine(),
        commit=evaluation.commit,
    )
    proving.tell(journal, report, family.dataset)
    return family, report


def publish(journal: Journal, repository: Path, *, keep: int | None = None, key: SigningKey | None = None) -> Report:
    """All variants under their own names and the chosen one under the family's; nothing if the goal is missed.

    `keep` is how many versions of each stay in `repository`; `key` signs their cards. Raises HoneError or OSError, as
    the other acts do.
    """
    family, report = evaluate(journal)
    published = proving.publish(journal, repository, family.variants, family.dataset, report, keep=keep, key=key)
    return replace(report, published=published)


def model_of(journal: Journal, variant: str) -> tuple[str, Path]:
    """The name and the file of one of the `VARIANTS`."""
    return next((one.name, one.model) for one in descend(journal).variants if one.variant == variant)
