"""Measures how long batches of each size take, and batches of shorter inputs beside the longest."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.engine.profile import BucketTime
from service.engine.trials.bench import Bench
from service.workers.trial import TrialFailed

SECONDS = 2.0
"""How long all of it may take, about."""
_FEWEST, _MOST = 3, 25
"""Runs of a size that are looked at, after one that isn't: the first of a shape is slower."""
_LEAST = 0.01
"""Smallest share of the longest that is believed: less is below what can be measured."""
ROUNDS = _FEWEST + 1
"""Rounds of all lengths that are made; the first isn't looked at."""


async def measure(
    bench: Bench, batches: Sequence[Sequence[NDArray[Any]]], seconds: float = SECONDS
) -> list[BucketTime]:
    """The time of each of `batches`, which have one array per input and come with rising rows.

    Sizes that are refused, or that time isn't left for, are left out, but never the first. Raises TrialFailed if that
    is refused, and WorkerEnded.
    """
    found: list[BucketTime] = []
    end = time.monotonic() + seconds
    for number, batch in enumerate(batches):
        left = end - time.monotonic()
        expected = found[-1].median * len(batch[0]) / found[-1].rows if found else 0.0
        if found and left < (_FEWEST + 1) * expected:
            break
        rows = [len(one[0]) for one in batches[number:]]
        until = time.monotonic() + left * rows[0] / sum(rows)
        try:
            await bench.run(batch)
            taken: list[float] = []
            while len(taken) < _FEWEST or (len(taken) < _MOST and time.monotonic() < until):
                timings = (await bench.run(batch)).timings
                taken.append((timings.input + timings.infer + timings.output) / 1e9)
        except TrialFailed:
            if not found:
                raise
            break
        median, p95 = (float(one) for one in np.percentile(taken, (50, 95)))
        found.append(BucketTime(rows=len(batch[0]), median=median, p95=p95))
    return found


async def shares(bench: Bench, batches: Sequence[Sequence[NDArray[Any]]]) -> tuple[float, ...]:
    """What each of `batches` takes as a share of the last, which is the longest: never falling, and 1 in the end.

    They take turns, so that those that are compared ran at the same time. Raises TrialFailed and WorkerEnded.
    """
    taken: list[list[float]] = [[] for _ in batches]
    for _ in range(ROUNDS):
        for times, batch in zip(taken, batches, strict=True):
            timings = (await bench.run(batch)).timings
            times.append((timings.input + timings.infer + timings.output) / 1e9)
    rounds = np.array([times[1:] for times in taken])  # [lengths, rounds]
    found = np.median(rounds / np.maximum(rounds[-1], 1e-9), axis=1)
    never_falling = np.minimum.accumulate(np.clip(found, _LEAST, 1.0)[::-1])[::-1]
    return (*(float(share) for share in never_falling[:-1]), 1.0)
