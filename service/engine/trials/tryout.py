"""Everything that a model goes through between being loaded and serving."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.golden import Golden
from service.artifact.lengths import Length
from service.artifact.signature import TensorSpec
from service.backends.plan import Plan
from service.datatypes import NUMPY_DTYPES
from service.engine.profile import BucketTime, best_rows, bucket_sizes
from service.engine.trials import golden as golden_trial
from service.engine.trials.bench import Bench
from service.engine.trials.independence import influence
from service.engine.trials.samples import at_lengths, calm
from service.engine.trials.timing import ROUNDS, SECONDS, measure, shares
from service.workers.trial import TrialFailed

MATES = 8
SIZES = (1, 32, 224)
"""What dims that vary are tried with, until the runtime takes one: anything, some steps of a sequence, an image."""

_MOST_BYTES = 1 << 25
"""A larger batch isn't made up, unless it is of one row: the event loop copies it, and has others to serve."""
_MOST_BYTES_OF_A_ROW = 1 << 28
"""A larger row isn't made up at all: it would be the first that anybody sent, or never come."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Influence:
    """The `change` of an answer by batch-mates, None where that couldn't be found out; `problem` says why."""

    change: float | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tryout:
    """The trials of one model: its plan, its declared lengths, and its golden samples where it has some."""

    plan: Plan
    golden: Golden | None
    lengths: Sequence[Length] = ()

    async def verify(self, bench: Bench) -> None:
        """Raises ArtifactError unless the model answers as its golden samples say."""
        if self.golden:
            await golden_trial.check(bench, self.plan, self.golden)

    async def influence(self, bench: Bench) -> Influence:
        """How much a batch-mate changes an answer; 0 where there can't be mates. Raises WorkerEnded.

        What the runtime refuses is tried with two rows, and with other sizes of dims that vary.
        """
        rows, problem = min(self.plan.max_batch_size, MATES), ""
        if rows < 2:
            return self.untried(problem)
        sizes = self._sizes()
        for size in sizes:
            for mates in sorted({min(rows, max(self._fitting(0, size), 2)), 2}, reverse=True):
                try:
                    batch = await asyncio.to_thread(self.calm, mates, size=size)
                    change = await influence(bench, self.plan.inputs, batch)
                except TrialFailed as error:
                    problem = str(error)
                else:
                    return Influence(change=change)
        return self.untried(problem if sizes else "a row of its inputs is too large to be made up")

    def untried(self, problem: str) -> Influence:
        """What is known of mates where they couldn't be tried: nothing, unless there can't be any."""
        return Influence(change=None, problem=problem) if self.plan.max_batch_size > 1 else Influence(change=0.0)

    async def time(self, bench: Bench) -> tuple[BucketTime, ...]:
        """How long batches of the longest inputs take; nothing where it isn't declared how long those may be, or a
        row of them is too large to be made up.
        """
        fitting = self._fitting(self._longest)
        if not fitting or any(-1 in spec.shape for spec in self._specs(self._longest)):
            return ()
        sizes = self.plan.batch_buckets or bucket_sizes(self.plan.max_batch_size)
        sizes = tuple(rows for rows in sizes if rows <= max(fitting, sizes[0]))
        largest = await asyncio.to_thread(self.longest, sizes[-1])
        batches = {rows: [array[:rows] for array in largest] if self._batched else largest for rows in sizes}
        try:
            return tuple(await measure(bench, batches))
        except TrialFailed:
            return ()

    async def shares(self, bench: Bench, buckets: Sequence[BucketTime]) -> tuple[float, ...]:
        """For each bucket of declared lengths, what it takes as a share of the longest, whose times `buckets` are.

        Measured at the best batch size that there is time for; nothing where there isn't even for one row.
        """
        most = SECONDS / (ROUNDS * (self._longest + 1))
        best = best_rows(buckets) if buckets else 0
        fitting = [bucket.rows for bucket in buckets if bucket.rows <= best and bucket.median <= most]
        if not self._longest or not fitting:
            return ()
        numbers = range(self._longest + 1)
        batches = [await asyncio.to_thread(self.calm, fitting[-1], number=number) for number in numbers]
        try:
            return await shares(bench, batches)
        except TrialFailed:
            return ()

    def calm(self, rows: int, *, number: int = 0, size: int = 1) -> list[NDArray[Any]]:
        """One array per input: ordinary rows, at bucket `number` of declared lengths, other dims that vary at `size`.

        Masks say that everything is real.
        """
        samples = self.golden.inputs if self.golden else {}
        specs, masks = self._specs(number), {length.mask for length in self.lengths}
        arrays = calm(specs, rows, samples, batched=self._batched, size=size)
        return [
            np.ones_like(array) if spec.name in masks and spec.name not in samples else array
            for spec, array in zip(specs, arrays, strict=True)
        ]

    def longest(self, rows: int) -> list[NDArray[Any]]:
        """The same at the longest of declared lengths."""
        return self.calm(rows, number=self._longest)

    @property
    def _longest(self) -> int:
        """The number of the last bucket."""
        return max((len(length.buckets) for length in self.lengths), default=1) - 1

    def _sizes(self) -> Sequence[int]:
        """What to try for dims that vary of which neither the configuration nor golden samples say what they may be:
        the smallest where a row of it may be made up, larger ones where two rows may.
        """
        samples = self.golden.inputs if self.golden else {}
        unknown = any(-1 in spec.shape and spec.name not in samples for spec in self._specs(0))
        return [size for size in (SIZES if unknown else SIZES[:1]) if self._fitting(0, size) > (size > SIZES[0])]

    def _fitting(self, number: int, size: int = 1) -> int:
        """How many rows may be made up, at bucket `number` of declared lengths, with other dims that vary at `size`."""
        samples = self.golden.inputs if self.golden else {}
        row = 0
        for spec in self._specs(number):
            shape, sample = spec.shape, samples.get(spec.name)
            if sample is not None and sample.ndim == len(shape) + self._batched:  # its dims are kept where they vary
                own = sample.shape[self._batched :]
                shape = tuple(theirs if dim < 0 else dim for dim, theirs in zip(shape, own, strict=True))
            row += math.prod(size if dim < 0 else dim for dim in shape) * NUMPY_DTYPES[spec.datatype].itemsize
        return max(_MOST_BYTES // max(row, 1), 1) if row <= _MOST_BYTES_OF_A_ROW else 0

    @property
    def _batched(self) -> bool:
        return self.plan.max_batch_size > 0

    def _specs(self, number: int) -> Sequence[TensorSpec]:
        return at_lengths(self.plan.inputs, self.lengths, number, batched=self._batched)
