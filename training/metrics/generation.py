"""How much generated images are like real ones, and whether they are as various, by a feature network of our own.

Inception isn't at hand, and knows nothing of digits: all figures are by the features that `features` names, and can be
compared only with figures by the same.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.bootstrap import DRAWS, Figure, Indices, Resampling, bootstrap, figure
from training.data.split import Sources
from training.errors import Immeasurable
from training.metrics.distances import distances
from training.metrics.features import Seen
from training.metrics.inputs import check
from training.statistics import Share, Values, share

NEIGHBOURS = 3
"""The k of precision and recall: the one that their authors use."""


@dataclass(frozen=True, kw_only=True)
class GenerationFigures:
    """Of generated images beside real ones, by the features of that name.

    `frechet_distance` is an FID on these features: 0 is best, and it falls with the number of images, so that only
    equal numbers compare. `class_score` is an Inception Score by their classifier, from 1 to the number of classes;
    real images reach `real_class_score`. `precision` is the share of generated images that lie where real ones do,
    `recall` that of real images where generated ones do, `coverage` the share of the classes of real images that are
    generated at all.
    """

    features: str
    frechet_distance: Figure
    class_score: Figure
    real_class_score: float
    precision: Share
    recall: Share
    coverage: Figure


def measure(real: Seen, generated: Seen, sources: Sources, resampling: Resampling = DRAWS) -> GenerationFigures:
    """The figures of what is seen in `generated` images, beside `real` ones of these `sources`.

    Intervals are those of generating other images, beside the same real ones; of `recall`, of other real ones. Raises
    Immeasurable if there are too few images, or they were seen by different networks.

    Sources: M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule", NeurIPS 2017; T. Salimans et al.,
    "Improved Techniques for Training GANs", NeurIPS 2016, the score of all images at once; T. Kynkaanniemi et al.,
    "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS 2019; A. Srivastava et al.,
    "VEEGAN", NeurIPS 2017, for the classes a classifier finds.
    """
    numbers = np.arange(len(generated.features))
    check(sources, real=real.features)
    check(numbers, generated=generated.features)
    for name, one in (("real", real), ("generated", generated)):
        if len(one.features) <= NEIGHBOURS:
            raise Immeasurable(f"{name}: {len(one.features)} images are too few, {NEIGHBOURS + 1} the least")
    if real.network != generated.network:
        raise Immeasurable(f"features: {real.network} of real images don't compare with {generated.network}")
    distance = _Frechet(real.features)
    classes, answers = np.unique(real.probabilities.argmax(axis=1)), generated.probabilities.argmax(axis=1)

    def frechet_distance(chosen: Indices) -> Values:
        return np.asarray(distance.to(generated.features[chosen]))

    def score(chosen: Indices) -> Values:
        return np.asarray(class_score(generated.probabilities[chosen]))

    def coverage(chosen: Indices) -> Values:
        return np.asarray(np.isin(classes, answers[chosen]).mean())

    largest = float(real.probabilities.shape[1])
    return GenerationFigures(
        features=real.network,
        frechet_distance=figure(bootstrap(frechet_distance, numbers, resampling, bounds=(0.0, np.inf))),
        class_score=figure(bootstrap(score, numbers, resampling, bounds=(1.0, largest))),
        real_class_score=class_score(real.probabilities),
        precision=share(_within(generated.features, real.features), numbers),
        recall=share(_within(real.features, generated.features), sources),
        coverage=figure(bootstrap(coverage, numbers, resampling)),
    )


def class_score(probabilities: Values) -> float:
    """How sure a classifier is of each image, and how even over all, [N, C]: the exponential of what an image tells."""
    told = np.log(np.maximum(probabilities, 1e-300)) - np.log(np.maximum(probabilities.mean(axis=0), 1e-300))
    return float(np.exp((probabilities * told).sum(axis=1).mean()))


class _Frechet:
    """The normal distribution of some features [N, D], and how far it is from that of others."""

    def __init__(self, features: Values) -> None:
        self._mean, self._spread = _moments(features)
        values, vectors = torch.linalg.eigh(self._spread)
        self._root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T

    def to(self, features: Values) -> float:
        """The Frechet distance, squared as usual."""
        mean, spread = _moments(features)
        # The trace of the root of a product of covariances is that of a symmetric matrix with the same eigenvalues.
        shared = torch.linalg.eigvalsh(self._root @ spread @ self._root).clamp(min=0).sqrt().sum()
        found = (mean - self._mean).square().sum() + spread.trace() + self._spread.trace() - 2 * shared
        return max(0.0, float(found))


def _moments(features: Values) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.from_numpy(features)
    return rows.mean(dim=0), torch.cov(rows.T).reshape(rows.shape[1], rows.shape[1])


def _within(features: Values, others: Values) -> NDArray[np.bool_]:
    """Which of `features` [N, D] lie as near to one of `others` [M, D] as its third neighbour among them: [N]."""
    # Of itself each is the nearest, so that the third neighbour is the fourth.
    radii = np.partition(distances(others, others), NEIGHBOURS, axis=1)[:, NEIGHBOURS]
    return np.asarray((distances(features, others) <= radii[None, :]).any(axis=1))
