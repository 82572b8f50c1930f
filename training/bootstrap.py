"""How sure any figure of a test part is: the part is drawn anew from itself, source by source, again and again."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.data.split import Sources
from training.errors import Immeasurable
from training.statistics import Values, numbered

Indices = NDArray[np.int64]
Statistic = Callable[[Indices], Values]
"""Figures of the test part at these positions, int64 [M], of which some may be named more than once."""

LEAST_BLOCKS = 10
"""Blocks of a season that a test part has, or the season is cut."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What a whole test part says, and the 95 % interval from `low` to `high`: see `bootstrap` for what it promises."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Averaged:
    """A figure of each class, tag or horizon by its name, and the plain `mean` of all; those not seen aren't there."""

    mean: Figure
    each: Mapping[str, Figure]


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How often a test part is drawn anew from itself, by which seed, and how many sources in a row are one draw.

    Neighbours in time err alike, so those of a series are drawn as blocks; a `block` of 1 takes sources to be
    independent. No more than half of the sources are one.
    """

    rounds: int = 1000
    seed: int = 0
    block: int = 1

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError("block: must be at least 1 source")
        if self.rounds < 40:
            raise ValueError("rounds: must be at least 40, or a twentieth of them can't be cut off")


DRAWS = Resampling()


def bootstrap(
    statistic: Statistic,
    sources: Sources,
    resampling: Resampling,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    moved: bool = True,
    confidence: float = 0.95,
) -> Values:
    """The figures [...] of a test part with their intervals of `confidence`: [..., 3], which are value, low, high.

    Sources are drawn with replacement, each with all its views, as often as there are sources; of a series, blocks
    of those that follow each other by their numbers, wherever they begin. The interval is the middle share of
    what the draws say, moved so that their mean lies on the value (drawing with replacement shifts figures like a
    calibration error upwards) unless that isn't asked (`moved`), and cut at `bounds`, which no figure of the kind
    can pass. So it says how far chance moves the figure of a test part of this size. Few sources (below 30 or so)
    make it somewhat narrow, and where all sources say the same it has no width. A figure that is NaN in a draw (a
    class wasn't drawn) isn't counted there; one that is NaN in the whole has NaN for bounds. Raises Immeasurable if
    there are fewer than two sources.

    Sources: B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap" (1993), for the intervals; A. C. Davison,
    D. V. Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8, for drawing groups as wholes; H. R.
    Künsch, "The Jackknife and the Bootstrap for General Stationary Observations", Annals of Statistics 17 (1989), for
    moving blocks.
    """
    groups = numbered(sources)
    order, views = np.argsort(groups, kind="stable"), np.bincount(groups)
    if len(views) < 2:
        raise Immeasurable("an interval needs at least two sources in the test part: enlarge it")
    ends, block = np.cumsum(views), min(resampling.block, len(views) // 2)
    value = statistic(np.arange(len(sources)))
    random = np.random.default_rng(resampling.seed)
    draws = np.empty((resampling.rounds, *value.shape))
    for number in range(resampling.rounds):
        first = random.integers(0, len(views) - block + 1, -(-len(views) // block))
        chosen = (first[:, None] + np.arange(block)).ravel()[: len(views)]
        counts = views[chosen]
        starts = np.repeat(ends[chosen] - np.cumsum(counts), counts)
        draws[number] = statistic(order[starts + np.arange(counts.sum())])
    found = np.stack([value, value, value], axis=-1)
    said = ~np.isnan(value)
    centre = np.nanmean(draws[:, said], axis=0) if moved else value[said]
    spread = np.nanpercentile(draws[:, said], (50 * (1 - confidence), 50 * (1 + confidence)), axis=0) - centre
    low, high = np.clip(value[said] + spread, *bounds)
    found[said, 1], found[said, 2] = np.minimum(low, value[said]), np.maximum(high, value[said])
    return found


def block_of(sources: Sources, season: int) -> int:
    """How many sources of a series go into a block: the cube root of how many there are, or a `season`, if it is more.

    As the whole grows the cube root is the order that leaves the least error (P. Hall, J. Horowitz, B.-Y. Jing, "On
    Blocking Rules for the Bootstrap with Dependent Data", Biometrika 82 (1995)); a season is what goes together anyway.
    Of few blocks intervals are too narrow, so that a season is cut where there would be less than `LEAST_BLOCKS`.
    """
    count = len(np.unique(sources))
    return max(round(math.cbrt(count)), min(season, count // LEAST_BLOCKS))


def figure(found: Values) -> Figure:
    """One figure of what `bootstrap` found: [3]."""
    value, low, high = found.tolist()
    return Figure(value=value, low=low, high=high)


def averaged(found: Values, names: Sequence[str]) -> Averaged:
    """Figures of `with_mean` as `bootstrap` found them, [1 + K, 3]: the mean, and each of `names` that isn't NaN."""
    mean, *each = found
    return Averaged(
        mean=figure(mean),
        each={name: figure(one) for name, one in zip(names, each, strict=True) if not np.isnan(one[0])},
    )


def with_mean(values: Values) -> Values:
    """The mean of the last axis before it, those that are NaN left out: [..., K] to [..., 1 + K]."""
    said = ~np.isnan(values)
    counts = said.sum(axis=-1, keepdims=True)
    sums = np.where(said, values, 0.0).sum(axis=-1, keepdims=True)
    return np.concatenate([np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), values], axis=-1)
