"""How well scores tell what is anomalous from what is normal, at every threshold and at one that was set before."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import DRAWS, Figure, Resampling, bootstrap, figure
from training.data.split import Labels, Sources
from training.errors import Immeasurable
from training.metrics.inputs import check, check_labels, check_present
from training.metrics.ranking import Ranking
from training.statistics import Share, share

CLASSES = ("normal", "anomalous")
Scores = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class AnomalyFigures:
    """`auroc` and `average_precision` of the scores, whatever the threshold; the latter has `anomalous` by chance.

    `anomalous` is the share of anomalies in the test part. Above `threshold` are `detected` of the anomalies and
    `false_alarms` of what is normal.
    """

    auroc: Figure
    average_precision: Figure
    anomalous: float
    threshold: float
    detected: Share
    false_alarms: Share


def threshold(normal: Scores, rate: float) -> float:
    """The least score above which at most the share `rate` of the `normal` scores [N] lies.

    Taken from the validation part, so that the test part shows whether it holds. Raises Immeasurable if there are no
    scores, or too few of them for such a rate: less than one of them could lie above.
    """
    if not 0 < rate < 1:
        raise ValueError("rate: must be above 0 and below 1")
    check(np.arange(len(normal)), normal=normal)
    above = math.floor(rate * len(normal) + 1e-9)
    if not above:
        raise Immeasurable(
            f"normal: {len(normal)} scores are too few for a rate of {rate:g}: take at least {math.ceil(1 / rate)}"
        )
    return float(np.sort(normal)[len(normal) - 1 - above])


def measure(
    anomaly_scores: Scores,
    anomalous: Labels,
    sources: Sources,
    limit: float,
    resampling: Resampling = DRAWS,
) -> AnomalyFigures:
    """The figures of `anomaly_scores` [N], the higher the stranger; `anomalous` int64 [N] is 1 for anomalies, else 0.

    `limit` is the threshold that is judged. Raises Immeasurable if the test part doesn't have both, or `limit` is no
    number.
    """
    check(sources, anomaly_scores=anomaly_scores, anomalous=anomalous)
    if not math.isfinite(limit):
        raise Immeasurable(f"limit: {limit} is no threshold; take one of `threshold`")
    check_labels(CLASSES, anomalous=anomalous)
    check_present(np.bincount(anomalous, minlength=2), CLASSES, 2)
    strange = anomalous == 1
    auroc, precision = bootstrap(Ranking(anomaly_scores, strange).areas, sources, resampling)
    above = anomaly_scores > limit
    return AnomalyFigures(
        auroc=figure(auroc),
        average_precision=figure(precision),
        anomalous=float(strange.mean()),
        threshold=limit,
        detected=share(above[strange], sources[strange]),
        false_alarms=share(above[~strange], sources[~strange]),
    )
