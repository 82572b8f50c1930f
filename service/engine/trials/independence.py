"""Does a batch-mate change an answer? Some models' do: dynamic INT8 learns its ranges from the whole batch.

A few rows are computed alone, beside calm mates, and beside extreme ones; what comes out for them must be the same, but
for the order of sums.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.signature import TensorSpec
from service.engine.trials.bench import Bench
from service.engine.trials.samples import extreme
from service.workers.trial import TrialFailed

TOLERANCE = {"f32": 1e-3, "bf16": 3e-2, "f16": 3e-2}
"""Largest difference, as a share of the largest answer, that is put down to the order of sums, by precision."""
BEYOND = 1e9
"""More than any tolerance."""


async def influence(bench: Bench, specs: Sequence[TensorSpec], batch: Sequence[NDArray[Any]]) -> float:
    """The largest change of the first row's answer that mates bring about, as a share of the largest answer.

    `batch` has one array per input, of at least two calm rows. BEYOND where outputs don't have a row for each.
    Raises WorkerEnded, and TrialFailed if the runtime refuses even the calm rows; extreme ones it may refuse.
    """
    alone = (await bench.run([array[:1] for array in batch])).outputs
    worst = _change(alone, (await bench.run(batch)).outputs, len(batch[0]))
    mates = extreme(specs, [array[1:] for array in batch])
    try:
        beside = await bench.run([np.concatenate([array[:1], mate]) for array, mate in zip(batch, mates, strict=True)])
    except TrialFailed:
        return worst
    return max(worst, _change(alone, beside.outputs, len(batch[0])))


def _change(alone: Sequence[NDArray[Any]], together: Sequence[NDArray[Any]], rows: int) -> float:
    worst = 0.0
    for one, many in zip(alone, together, strict=True):
        if many.ndim == 0 or len(many) != rows or one.shape != many[:1].shape:
            return BEYOND
        if one.dtype.hasobject:
            worst = max(worst, 0.0 if one.tolist() == many[:1].tolist() else BEYOND)
        elif not np.array_equal(one, many[:1], equal_nan=one.dtype.kind == "f"):
            expected, found = one.astype(np.float64), many[:1].astype(np.float64)
            difference = np.abs(expected - found)
            if np.isnan(difference).any():
                return BEYOND
            worst = max(worst, min(float(difference.max() / max(np.abs(expected).max(), 1e-12)), BEYOND))
    return worst
