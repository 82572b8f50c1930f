"""Measures how long batches of each size take, and batches of shorter inputs beside the longest."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.engine.profile import BucketTime
from service.engine.trials.bench import Bench
from service.workers.trial import TrialFailed

SECONDS = 3.0
"""How long all of it may take, about."""
LEAST, MOST = 2, 25
"""Rounds of all sizes that there should be time for, and that are made at most; the first run of a shape is slower, and
isn't looked at.
"""
_SMALLEST = 0.01
"""Smallest share of the longest that is believed: less is below what can be measured."""
ROUNDS = 4
"""Rounds of all lengths that are made; the first isn't looked at."""


async def measure(
    bench: Bench, batches: Mapping[int, Sequence[NDArray[Any]]], seconds: float = SECONDS
) -> list[BucketTime]:
    """The time of each of `batches`, which have one array per input, by their rows, which rise.

    The sizes take turns, rising and falling, so that those that are compared ran at the same time. Sizes that are
    refused are left out, but never the first. Those that time isn't left for are taken to cost as much a row as the
    largest that was measured: whether they are better shows when they are used. Raises TrialFailed if the first is
    refused, and WorkerEnded.
    """
    end = time.monotonic() + seconds
    taken, left = await _first_looks(bench, batches, end)
    turn, first = list(taken), next(iter(taken.values()))
    while len(first) < MOST and time.monotonic() + sum([times[-1] for times in taken.values()]) < end:
        turn.reverse()
        for rows in turn:
            taken[rows].append(await _run(bench, batches[rows]))
    buckets = [_bucket(rows, times) for rows, times in taken.items()]
    return [*buckets, *(_stretched(buckets[-1], rows) for rows in left)]


async def _first_looks(
    bench: Bench, batches: Mapping[int, Sequence[NDArray[Any]]], end: float
) -> tuple[dict[int, list[float]], list[int]]:
    """The time of each size once, after a run that isn't looked at, and the sizes that time isn't left for.

    A round takes twice its largest size, about.
    """
    taken: dict[int, list[float]] = {}
    a_row = 0.0
    for rows, batch in batches.items():
        if taken and time.monotonic() + LEAST * 2 * a_row * rows > end:
            return taken, [size for size in batches if size >= rows]
        try:
            await bench.run(batch)
            taken[rows] = [await _run(bench, batch)]
        except TrialFailed:
            if not taken:
                raise
            break
        a_row = taken[rows][0] / rows
    return taken, []


async def _run(bench: Bench, batch: Sequence[NDArray[Any]]) -> float:
    timings = (await bench.run(batch)).timings
    return (timings.input + timings.infer + timings.output) / 1e9


def _bucket(rows: int, times: Sequence[float]) -> BucketTime:
    median, p95 = (float(one) for one in np.percentile(times, (50, 95)))
    return BucketTime(rows=rows, median=median, p95=p95)


def _stretched(measured: BucketTime, rows: int) -> BucketTime:
    factor = rows / measured.rows
    return BucketTime(rows=rows, median=measured.median * factor, p95=measured.p95 * factor)


async def shares(bench: Bench, batches: Sequence[Sequence[NDArray[Any]]]) -> tuple[float, ...]:
    """What each of `batches` takes as a share of the last, which is the longest: never falling, and 1 in the end.

    They take turns, so that those that are compared ran at the same time. Raises TrialFailed and WorkerEnded.
    """
    taken: list[list[float]] = [[] for _ in batches]
    for _ in range(ROUNDS):
        for times, batch in zip(taken, batches, strict=True):
            times.append(await _run(bench, batch))
    rounds = np.array([times[1:] for times in taken])  # [lengths, rounds]
    found = np.median(rounds / np.maximum(rounds[-1], 1e-9), axis=1)
    never_falling = np.minimum.accumulate(np.clip(found, _SMALLEST, 1.0)[::-1])[::-1]
    return (*(float(share) for share in never_falling[:-1]), 1.0)
