"""Whether a model is better than a baseline, or only luckier with its test part: both on the same draws of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from training.bootstrap import DRAWS, Figure, Indices, Resampling, Statistic, bootstrap, figure
from training.data.split import Sources
from training.statistics import Paired, Values

Verdict = Literal["better", "equal within the interval", "worse"]
DOUBT = 0.05


@dataclass(frozen=True, kw_only=True)
class Against:
    """A model beside another one on the same inputs: by how much its headline figure exceeds the other's.

    `pairs` count the inputs that only one of them (the other is second) got right, where answers are right or wrong;
    then that test, which is exact, decides the `verdict`, and else the interval. `slices` say by how much the figure
    called `sliced` exceeds the other's for each class, tag or horizon, with intervals that hold for all at once.
    """

    difference: Figure
    verdict: Verdict
    pairs: Paired | None = None
    sliced: str = ""
    slices: Mapping[str, Figure] = field(default_factory=dict)

    def fallen(self, *, smaller: bool) -> Sequence[str]:
        """The slices that are worse beyond chance, the most first; `smaller` figures are the better ones or not."""
        worse = [name for name, one in self.slices.items() if verdict(one, smaller=smaller) == "worse"]
        return sorted(worse, key=lambda name: -abs(self.slices[name].value))


def difference(own: Statistic, rival: Statistic, sources: Sources, resampling: Resampling = DRAWS) -> Figure:
    """By how much `own` [] exceeds `rival` [] on a test part, and the 95 % interval of it by a paired bootstrap.

    Sources that are hard for one are mostly hard for the other, so this interval is narrower than two that are told
    apart by eye. It isn't moved: where both differ on a few sources only, many draws have none of them and say zero,
    and zero has to stay within. Sources: see `bootstrap`; B. Efron, R. J. Tibshirani (1993), chapter 8, for pairs.
    """
    return figure(_differences(own, rival, sources, resampling, doubt=DOUBT))


def differences(
    own: Statistic, rival: Statistic, names: Sequence[str], sources: Sources, resampling: Resampling = DRAWS
) -> dict[str, Figure]:
    """As `difference`, of figures [K] that have `names`; those that a test part doesn't have are left out.

    All intervals hold at once in 95 % of all cases: each leaves out a K-th of what one alone would (C. E. Bonferroni),
    since of many slices one looks worse by chance. Of more than 25 there are more draws, so that at least one of them
    lies beyond each end: fewer couldn't tell where it is.
    """
    doubt = DOUBT / len(names)
    often = replace(resampling, rounds=max(resampling.rounds, math.ceil(2 / doubt)))
    found = _differences(own, rival, sources, often, doubt=doubt)
    return {name: figure(one) for name, one in zip(names, found, strict=True) if not np.isnan(one[0])}


def _differences(own: Statistic, rival: Statistic, sources: Sources, resampling: Resampling, *, doubt: float) -> Values:
    def drawn(chosen: Indices) -> Values:
        return own(chosen) - rival(chosen)

    return bootstrap(drawn, sources, resampling, bounds=(-np.inf, np.inf), moved=False, confidence=1 - doubt)


def verdict(difference: Figure, *, smaller: bool) -> Verdict:
    """What a difference says where the `smaller` figure, or the larger one, is the better one.

    It has to differ from zero by more than chance: an interval that touches zero says nothing.
    """
    if difference.low <= 0 <= difference.high:
        return "equal within the interval"
    return "better" if (difference.value < 0) == smaller else "worse"


def verdict_of_pairs(pairs: Paired) -> Verdict:
    """The same by whose answers were right, the first's or the second's."""
    if pairs.p_value >= DOUBT:
        return "equal within the interval"
    return "better" if pairs.only_first > pairs.only_second else "worse"
