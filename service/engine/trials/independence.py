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
from service.engine.trials.difference import BEYOND, difference
from service.engine.trials.samples import extreme
from service.workers.trial import TrialFailed

TOLERANCE = {"f32": 1e-3, "bf16": 3e-2, "f16": 3e-2}
"""Largest difference, as a share of the largest answer, that is put down to the order of sums, by precision."""


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
    if any(many.ndim == 0 or len(many) != rows for many in together):
        return BEYOND
    return max((difference(one, many[:1]) for one, many in zip(alone, together, strict=True)), default=0.0)
