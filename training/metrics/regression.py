"""How far predicted values are from the real ones, by output or horizon."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import DRAWS, Averaged, Indices, Resampling, Statistic, averaged, bootstrap, with_mean
from training.data.split import Sources
from training.errors import Immeasurable
from training.metrics.inputs import check, check_shape
from training.statistics import Values

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class RegressionFigures:
    """Errors in the units of the targets (`mse` in their squares), each by output, and the mean over outputs.

    `r2` is the share of an output's variance in the test part that is explained; below 0 its mean would do better.
    """

    mae: Averaged
    rmse: Averaged
    mse: Averaged
    r2: Averaged


def measure(
    predictions: Floats,
    targets: Floats,
    sources: Sources,
    outputs: tuple[str, ...],
    resampling: Resampling = DRAWS,
) -> RegressionFigures:
    """The figures of `predictions` [N, K] for `targets` [N, K], whose `outputs` (or horizons) have these names.

    Raises Immeasurable if an output is constant in the test part: there is no variance to explain.
    """
    check(sources, predictions=predictions, targets=targets)
    check_shape(predictions, targets)
    if targets.shape[1:] != (len(outputs),):
        raise Immeasurable(f"targets: are {list(targets.shape)}, and there are {len(outputs)} outputs")
    wanted = targets.astype(np.float64)
    for name, column in zip(outputs, wanted.T, strict=True):
        if not np.ptp(column):
            raise Immeasurable(f"targets: {name!r} is {column[0]:g} throughout the test part, so R2 has no meaning")
    off = predictions.astype(np.float64) - wanted

    def explained(chosen: Indices) -> Values:
        part = wanted[chosen]
        varies = np.ptp(part, axis=0) > 0
        total = np.square(part - part.mean(axis=0)).sum(axis=0)
        left = np.square(off[chosen]).sum(axis=0)
        return with_mean(np.where(varies, 1 - left / np.where(varies, total, 1.0), np.nan))

    mae, rmse, mse = bootstrap(errors(predictions, targets), sources, resampling, bounds=(0.0, np.inf))
    r2 = bootstrap(explained, sources, resampling, bounds=(-np.inf, 1.0))
    return RegressionFigures(
        mae=averaged(mae, outputs), rmse=averaged(rmse, outputs), mse=averaged(mse, outputs), r2=averaged(r2, outputs)
    )


def errors(predictions: Floats, targets: Floats) -> Statistic:
    """MAE, RMSE and MSE of draws of `predictions` for `targets`, both [N, K], the mean before outputs: [3, 1 + K]."""
    off = predictions.astype(np.float64) - targets.astype(np.float64)

    def drawn(chosen: Indices) -> Values:
        squares = np.square(off[chosen]).mean(axis=0)
        return with_mean(np.stack([np.abs(off[chosen]).mean(axis=0), np.sqrt(squares), squares]))

    return drawn
