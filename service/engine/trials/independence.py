"""Does a batch-mate change an answer? Some models' do: dynamic INT8 learns its ranges from the whole batch.

A few rows are computed together, and so is one among mates as unlike it as the runtime takes (see `mates`); what comes
out for it must be what comes out alone, but for the order of sums. That is done with the first row and with the last,
since mates may matter only to those behind them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from service.artifact.signature import TensorSpec
from service.engine.trials.bench import Bench
from service.engine.trials.difference import BEYOND, difference
from service.engine.trials.mates import CONTRASTS, beside
from service.workers.trial import TrialFailed

TOLERANCE = {"f32": 1e-3, "bf16": 3e-2, "f16": 3e-2}
"""Largest difference that is put down to the order of sums, by precision."""


async def influence(bench: Bench, specs: Sequence[TensorSpec], batch: Sequence[NDArray[Any]]) -> float:
    """The largest change of an answer that mates bring about (see `difference`).

    `batch` has one array per input, of at least two calm rows. BEYOND where outputs don't have a row for each.
    Raises WorkerEnded, and TrialFailed if the runtime refuses calm rows, alone or together, or all other mates.
    """
    rows = len(batch[0])
    ends = (0, rows - 1)
    try:
        alone = [await _alone(bench, batch, position) for position in ends]
    except TrialFailed as error:
        raise TrialFailed(
            f"it refuses the inputs it is tried with, golden.npz can hold better ones: {error}"
        ) from error
    try:
        together = (await bench.run(batch)).outputs
    except TrialFailed as error:
        raise TrialFailed(f"it refuses rows together that it computes alone: {error}") from error
    worst = max(_change(one, together, position, rows) for one, position in zip(alone, ends, strict=True))
    refusal = ""
    for contrast in CONTRASTS:
        try:
            changes = [
                await _changed(bench, await asyncio.to_thread(beside, specs, batch, position, contrast), position)
                for position in ends
            ]
        except TrialFailed as error:
            refusal = str(error)
        else:
            return max(worst, *changes)
    raise TrialFailed(f"it refuses batch-mates unlike the rows that it is tried with: {refusal}")


async def _changed(bench: Bench, batch: Sequence[NDArray[Any]], position: int) -> float:
    """How much its mates change the row at this position."""
    alone = await _alone(bench, batch, position)
    return _change(alone, (await bench.run(batch)).outputs, position, len(batch[0]))


async def _alone(bench: Bench, batch: Sequence[NDArray[Any]], position: int) -> Sequence[NDArray[Any]]:
    """What comes out for the row at this position by itself."""
    return (await bench.run([array[position : position + 1] for array in batch])).outputs


def _change(alone: Sequence[NDArray[Any]], together: Sequence[NDArray[Any]], position: int, rows: int) -> float:
    """How much the row at `position` of a batch differs from what it was alone, in its worst output."""
    if any(many.ndim == 0 or len(many) != rows for many in together):
        return BEYOND
    pairs = zip(alone, together, strict=True)
    return max((difference(one, many[position : position + 1]) for one, many in pairs), default=0.0)
