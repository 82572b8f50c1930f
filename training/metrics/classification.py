"""How well classes are told apart, and whether the probabilities mean what they say."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from training.bootstrap import DRAWS, Averaged, Figure, Indices, Resampling, averaged, bootstrap, figure, with_mean
from training.data.split import Labels, Sources
from training.errors import Immeasurable
from training.metrics.inputs import check, check_labels, check_present
from training.metrics.ranking import Ranking
from training.statistics import Share, Values, confusion, scores, share, tally

BINS = 15
SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Answers of about the same confidence: how many, the mean of what they promise, and the share that was right."""

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class ClassificationFigures:
    """Of a test part with labels; figures by class are those of the classes it has, `mean` is their macro average.

    `auroc` is each class against the rest, the area under its curve in `roc`, whose points are shares of false alarms
    and of hits. `calibration_error` is the expected one (ECE) of the answers' confidence in
    15 bins of equal width, of which `calibration` has those that aren't empty; `brier` the mean squared distance of the
    probabilities from the truth, 0 to 2. `confusion` has a row for each true class, a column for each answer.
    """

    accuracy: Share
    precision: Averaged
    recall: Averaged
    f1: Averaged
    auroc: Averaged
    calibration_error: Figure
    brier: Figure
    confusion: tuple[tuple[int, ...], ...]
    roc: Mapping[str, tuple[tuple[float, float], ...]]
    calibration: tuple[Bin, ...]


def measure(
    probabilities: NDArray[np.floating],
    labels: Labels,
    sources: Sources,
    classes: tuple[str, ...],
    resampling: Resampling = DRAWS,
) -> ClassificationFigures:
    """The figures of `probabilities` [N, C] for `labels` int64 [N] of `classes`.

    Raises Immeasurable if they are no probabilities, or if the labels are all of one class: no ROC can be drawn then.
    Sources: C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; G. W. Brier, Monthly Weather Review
    78 (1950).
    """
    # Only here: torchmetrics brings all that it could measure, texts too, which takes longer to import than torch.
    from torchmetrics.functional.classification import multiclass_calibration_error

    check(sources, probabilities=probabilities, labels=labels)
    check_labels(classes, labels=labels)
    _check_probabilities(probabilities, len(classes))
    answers = probabilities.argmax(axis=1).astype(np.int64)
    tallies = tally(answers[:, None], labels[:, None], len(classes))
    check_present(tallies[:, 2].sum(axis=0), classes, 2)
    rankings = [Ranking(probabilities[:, label], labels == label) for label in range(len(classes))]
    said, truth = torch.from_numpy(probabilities.clip(0, 1).astype(np.float64)), torch.from_numpy(labels)
    distances = np.square(probabilities - np.eye(len(classes))[labels]).sum(axis=1)

    def by_class(chosen: Indices) -> Values:
        aurocs = [ranking.areas(chosen)[0] for ranking in rankings]
        return with_mean(np.vstack([scores(*tallies[chosen].sum(axis=0)), aurocs]))

    def calibration_error(chosen: Indices) -> Values:
        return multiclass_calibration_error(
            said[chosen], truth[chosen], len(classes), BINS, validate_args=False
        ).numpy()

    def brier(chosen: Indices) -> Values:
        return np.asarray(distances[chosen].mean())

    precision, recall, f1, auroc = (averaged(row, classes) for row in bootstrap(by_class, sources, resampling))
    return ClassificationFigures(
        accuracy=share(answers == labels, sources),
        precision=precision,
        recall=recall,
        f1=f1,
        auroc=auroc,
        calibration_error=figure(bootstrap(calibration_error, sources, resampling)),
        brier=figure(bootstrap(brier, sources, resampling, bounds=(0.0, 2.0))),
        confusion=tuple(tuple(row) for row in confusion(labels, answers, len(classes)).tolist()),
        roc={classes[label]: rankings[label].curve() for label in np.unique(labels)},
        calibration=_calibration(probabilities.max(axis=1), answers == labels),
    )


def _calibration(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    # A bin has its upper edge, as torchmetrics counts.
    places = np.searchsorted(np.linspace(0, 1, BINS + 1), confidences.clip(0, 1), side="left") - 1
    return tuple(
        Bin(
            count=int((places == place).sum()),
            confidence=float(confidences[places == place].mean(dtype=np.float64)),
            accuracy=float(right[places == place].mean()),
        )
        for place in np.unique(places)
    )


def _check_probabilities(probabilities: NDArray[np.floating], classes: int) -> None:
    if probabilities.shape[1:] != (classes,):
        raise Immeasurable(f"probabilities: are {list(probabilities.shape)}, and there are {classes} classes")
    off = np.abs(probabilities.sum(axis=1) - 1) > SUM_TOLERANCE
    wrong = np.flatnonzero(off | (probabilities.min(axis=1) < 0))
    if len(wrong):
        raise Immeasurable(f"probabilities: row {wrong[0]} isn't one of shares that sum to 1; are these logits?")
