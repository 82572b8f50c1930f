"""Whether a model is better than a baseline, or only luckier with its test part: both on the same draws of it."""

from typing import Literal

import numpy as np

from training.bootstrap import DRAWS, Figure, Indices, Resampling, Statistic, bootstrap, figure
from training.data.split import Sources
from training.statistics import Values

Verdict = Literal["better", "equal within the interval", "worse"]


def difference(own: Statistic, rival: Statistic, sources: Sources, resampling: Resampling = DRAWS) -> Figure:
    """By how much `own` [] exceeds `rival` [] on a test part, and the 95 % interval of it by a paired bootstrap.

    Sources that are hard for one are mostly hard for the other, so this interval is narrower than two that are told
    apart by eye. It isn't moved: where both differ on a few sources only, many draws have none of them and say zero,
    and zero has to stay within. Sources: see `bootstrap`; B. Efron, R. J. Tibshirani (1993), chapter 8, for pairs.
    """

    def drawn(chosen: Indices) -> Values:
        return own(chosen) - rival(chosen)

    return figure(bootstrap(drawn, sources, resampling, bounds=(-np.inf, np.inf), moved=False))


def verdict(difference: Figure, *, smaller: bool) -> Verdict:
    """What a difference says where the `smaller` figure, or the larger one, is the better one.

    It has to differ from zero by more than chance: an interval that touches zero says nothing.
    """
    if difference.low <= 0 <= difference.high:
        return "equal within the interval"
    return "better" if (difference.value < 0) == smaller else "worse"
