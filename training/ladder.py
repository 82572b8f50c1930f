"""Is the teacher as large as it has to be? Networks of its kind, narrower, trained in the same way.

A teacher that is larger than its task asks for makes every compression look good. It is padded if a network of half
its size would do as well: within 0.3 points of accuracy. One seed proves nothing at such differences, so there are
several, and every network is judged on all views of the test images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training import checkpoint
from training.data.split import Dataset
from training.fit import assess
from training.networks.channels import STEP
from training.networks.resnet import ResNetConfig, multiply_adds
from training.steps import learning
from training.steps.journal import Journal

PADDED = 0.003
"""A network of half the size within this of the teacher's accuracy shows that the teacher is padded."""
FACTORS = (0.5, 0.7071, 1.0)
"""Widths against the teacher's: a quarter, half and all of its size, roughly."""


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


def climb(journal: Journal, dataset: Dataset, seeds: Sequence[int]) -> tuple[Rung, ...]:
    """The rungs around the recipe's teacher, from narrow to wide."""
    config = journal.recipe.network
    widths = dict.fromkeys(scaled(config.widths, factor) for factor in FACTORS)
    return tuple(_rung(journal, replace(config, widths=one), dataset, seeds) for one in widths)


def scaled(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Widths times `factor`, to the nearest multiple of 16, none less than that."""
    return tuple(max(STEP, round(width * factor / STEP) * STEP) for width in widths)


def is_padded(rungs: Sequence[Rung], teacher: tuple[int, ...]) -> bool:
    """True when a network of half the teacher's size or less is within 0.3 points of it."""
    own = next(rung for rung in rungs if rung.widths == teacher)
    small = (rung for rung in rungs if rung.parameters <= own.parameters / 2)
    return any(own.mean - rung.mean <= PADDED for rung in small)


def _rung(journal: Journal, config: ResNetConfig, dataset: Dataset, seeds: Sequence[int]) -> Rung:
    networks = [checkpoint.load_network(learning.climb(journal, config, seed, dataset)) for seed in seeds]
    task = journal.recipe.task
    first = networks[0]
    return Rung(
        widths=config.widths,
        parameters=sum(parameter.numel() for parameter in first.parameters()),
        multiply_adds=multiply_adds(first.config, dataset.test.images.shape[-1]),
        accuracies=tuple(assess(network, task, dataset.test)["accuracy"] for network in networks),
    )
