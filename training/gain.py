"""How many times as good one variant is as another, by timings that took turns on the same cores."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.timing import Timing, best, paces

DOUBT = 0.05
"""How often an interval may miss, where there are rounds enough to say it."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Where the median of all rounds that there could be lies, by those there were."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How many times as good as another variant: smaller by `size`, faster by the others; below 1 is worse.

    `compute` is the worker's time and `latency` that of whole requests, both at batch 1; `throughput` compares inputs
    a second, each variant at its own best batch size. `intervals` say by these names how sure those are that were
    timed; what isn't there is exact.
    """

    size: float
    compute: float
    latency: float
    throughput: float
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    def interval(self, name: str) -> Interval:
        """That of one of them by its name."""
        exact: float = getattr(self, name)
        return self.intervals.get(name, Interval(low=exact, high=exact))


ITSELF = Gain(size=1.0, compute=1.0, latency=1.0, throughput=1.0)


def gain(own: Mapping[int, Timing], other: Mapping[int, Timing], *, size: float) -> Gain:
    """That of `own` over `other`, of the same rounds, whose file is `size` times as large."""
    mine, others = paces(own), paces(other)
    ratios = {
        "compute": other[1].compute / own[1].compute,
        "latency": np.median(other[1].requests, axis=1) / np.median(own[1].requests, axis=1),
        "throughput": others[best(others)] / mine[best(mine)],
    }
    # The median over rounds: one slow moment can't decide it.
    medians = {name: float(np.median(rounds)) for name, rounds in ratios.items()}
    return Gain(size=size, **medians, intervals={name: of_median(rounds) for name, rounds in ratios.items()})


def of_median(rounds: NDArray[np.float64]) -> Interval:
    """The 95 % interval of the median of `rounds` [N], by the sign test; of less than six, from the least to the most.

    As each round is as likely to lie above the true median as below it, nothing else need be known of them.
    """
    ordered, count = np.sort(rounds), len(rounds)
    left_out = 0
    while 2 * sum(math.comb(count, below) for below in range(left_out + 1)) <= DOUBT * 2**count:
        left_out += 1
    first = max(left_out - 1, 0)
    return Interval(low=float(ordered[first]), high=float(ordered[count - 1 - first]))
