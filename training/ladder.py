"""Is the teacher as large as it has to be? Networks of its kind, narrower, trained in the same way.

A teacher that is larger than its task asks for makes every compression look good. It is padded if a network of half
its size would do as well: within 0.3 points of accuracy. One seed proves nothing at such differences, so there are
several, and every network is judged on all views of the test images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.errors import ArtifactError
from training import checkpoint
from training.compression.pruning.allocation import STEP
from training.data.split import Dataset
from training.fit import assess
from training.networks.resnet import ResNet, ResNetConfig, multiply_adds
from training.steps import learning
from training.steps.journal import Journal

PADDED = 0.003
"""A network of half the size within this of the teacher's accuracy shows that the teacher is padded."""
HALF = 0.55
"""What counts as half: widths are multiples of 16, so that half can't be met exactly."""
FACTORS = (0.5, 0.7071)
"""Widths against the teacher's: about a quarter and half of its size."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """Networks of one width: `accuracies` on the test images, one for each seed."""

    widths: tuple[int, ...]
    parameters: int
    multiply_adds: int
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean accuracy over seeds."""
        return float(np.mean(self.accuracies))

    @property
    def error(self) -> float:
        """The standard error of that mean; 0 for a single seed."""
        count = len(self.accuracies)
        return float(np.std(self.accuracies, ddof=1)) / count**0.5 if count > 1 else 0.0


@dataclass(frozen=True, kw_only=True)
class Padding:
    """Whether the teacher is padded: `difference` of accuracy to `half`, the best of at most half its size.

    `error` is the standard error of the difference.
    """

    padded: bool
    half: Rung
    difference: float
    error: float


def climb(journal: Journal, dataset: Dataset, seeds: Sequence[int]) -> tuple[Rung, ...]:
    """The recipe's teacher and the rungs below it, from narrow to wide."""
    config = journal.recipe.network
    widths = dict.fromkeys((*(scaled(config.widths, factor) for factor in FACTORS), config.widths))
    return tuple(_rung(journal, replace(config, widths=one), dataset, seeds) for one in widths)


def scaled(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Widths times `factor`, to the nearest multiple of 16, none less than that."""
    return tuple(max(STEP, round(width * factor / STEP) * STEP) for width in widths)


def judge(rungs: Sequence[Rung], teacher: tuple[int, ...]) -> Padding:
    """Compare the rung of widths `teacher` with the best of those of at most half its size.

    Raises ArtifactError if there is none: a teacher of the least widths can't be told from a padded one.
    """
    own = next(rung for rung in rungs if rung.widths == teacher)
    small = [rung for rung in rungs if rung.parameters <= HALF * own.parameters]
    if not small:
        raise ArtifactError("the ladder has no network of half the teacher's size")
    half = max(small, key=lambda rung: rung.mean)
    difference = own.mean - half.mean
    error = (own.error**2 + half.error**2) ** 0.5
    return Padding(padded=difference <= PADDED, half=half, difference=difference, error=error)


def _rung(journal: Journal, config: ResNetConfig, dataset: Dataset, seeds: Sequence[int]) -> Rung:
    networks = [checkpoint.load_network(learning.climb(journal, config, seed, dataset), ResNet) for seed in seeds]
    task = journal.recipe.task
    first = networks[0]
    return Rung(
        widths=config.widths,
        parameters=sum(parameter.numel() for parameter in first.parameters()),
        multiply_adds=multiply_adds(first.config, dataset.test.inputs.shape[-1]),
        accuracies=tuple(assess(network, task, dataset.test)["accuracy"] for network in networks),
    )
