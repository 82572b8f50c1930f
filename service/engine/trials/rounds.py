"""Times what is to be compared in turns, so that all of it ran on the same machine.

A machine that others use too may be half as fast a minute later. Whoever is measured after another is then compared
with the weather; in turns of milliseconds all have the same.
"""

import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Protocol

import numpy as np

from service.engine.profile import BucketTime

SECONDS = 6.0
"""How long all of it may take, about; a single round may take longer."""
LEAST, MOST = 3, 15
"""Rounds that should be made, and that are made at most."""


class Contender(Protocol):
    """Somebody who is compared with others."""

    @property
    def buckets(self) -> Sequence[BucketTime]:
        """What it took in a first measurement: the batch sizes that it computes, rising."""

    async def sample(self, rows: int) -> Sequence[float]:
        """Compute a batch of so many rows on each of its instances; the seconds, none if that fails."""


async def measure(
    contenders: Sequence[Contender], clock: Callable[[], float] = time.monotonic
) -> list[tuple[BucketTime, ...]]:
    """The times of each contender, for the batch sizes for which there is time, but always for the first."""
    sizes = _affordable(contenders)
    taken: list[dict[int, list[float]]] = [{} for _ in contenders]
    end = clock() + SECONDS
    for number in range(MOST):
        if number and clock() >= end:
            break
        for rows in sizes:
            for contender, times in zip(contenders, taken, strict=True):
                if any(bucket.rows == rows for bucket in contender.buckets):
                    await contender.sample(rows)  # isn't looked at: caches hold the others' weights
                    times.setdefault(rows, []).extend(await contender.sample(rows))
    return [tuple(_bucket(rows, found) for rows, found in times.items() if found) for times in taken]


def _affordable(contenders: Sequence[Contender]) -> list[int]:
    """The batch sizes, from the smallest on, of which LEAST rounds can be made."""
    cost: dict[int, float] = {}
    for bucket in [bucket for contender in contenders for bucket in contender.buckets]:
        cost[bucket.rows] = cost.get(bucket.rows, 0.0) + 2 * LEAST * bucket.median
    sizes = sorted(cost)
    sums = accumulate(cost[rows] for rows in sizes)
    return [rows for rows, seconds in zip(sizes, sums, strict=True) if seconds <= SECONDS or rows == sizes[0]]


def _bucket(rows: int, times: Sequence[float]) -> BucketTime:
    median, p95 = (float(one) for one in np.percentile(times, (50, 95)))
    return BucketTime(rows=rows, median=median, p95=p95)
