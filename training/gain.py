"""How many times as good one variant is as another, by timings that took turns on the same cores."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.timing import Timing, best, paces


@dataclass(frozen=True, kw_only=True)
class Gain:
    """How many times as good as another variant: smaller by `size`, faster by the others; below 1 is worse.

    `compute` is the worker's time and `latency` that of whole requests, both at batch 1; `throughput` compares inputs
    a second, each variant at its own best batch size.
    """

    size: float
    compute: float
    latency: float
    throughput: float


ITSELF = Gain(size=1.0, compute=1.0, latency=1.0, throughput=1.0)


def gain(own: Mapping[int, Timing], other: Mapping[int, Timing], *, size: float) -> Gain:
    """That of `own` over `other`, of the same rounds, whose file is `size` times as large."""
    mine, others = paces(own), paces(other)
    return Gain(
        size=size,
        compute=_ratio(other[1].compute, own[1].compute),
        latency=_ratio(np.median(other[1].requests, axis=1), np.median(own[1].requests, axis=1)),
        throughput=_ratio(others[best(others)], mine[best(mine)]),
    )


def _ratio(other: NDArray[np.float64], own: NDArray[np.float64]) -> float:
    """The median over rounds of the ratio of two durations [rounds]: one slow moment can't decide it."""
    return float(np.median(other / own))
