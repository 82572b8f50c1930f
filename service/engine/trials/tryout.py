"""Everything that a model goes through between being loaded and serving."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from service.artifact.golden import Golden
from service.backends.plan import Plan
from service.engine.profile import BucketTime, bucket_sizes
from service.engine.trials import golden as golden_trial
from service.engine.trials.bench import Bench
from service.engine.trials.independence import influence
from service.engine.trials.samples import calm
from service.engine.trials.timing import measure
from service.workers.trial import TrialFailed

MATES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Tryout:
    """The trials of one model: its plan, and its golden samples where it has some."""

    plan: Plan
    golden: Golden | None

    async def verify(self, bench: Bench) -> None:
        """Raises ArtifactError unless the model answers as its golden samples say."""
        if self.golden:
            await golden_trial.check(bench, self.plan, self.golden)

    async def influence(self, bench: Bench) -> float:
        """How much a batch-mate changes an answer; 0 where there can't be mates."""
        rows = min(self.plan.max_batch_size, MATES)
        if rows < 2:
            return 0.0
        try:
            return await influence(bench, self.plan.inputs, self._calm(rows))
        except TrialFailed:
            return 0.0  # it takes none of the inputs that we can think of, alone or not

    async def time(self, bench: Bench) -> tuple[BucketTime, ...]:
        """How long batches take; nothing where lengths vary, since nobody knows which of them will come."""
        if any(-1 in spec.dims for spec in self.plan.inputs):
            return ()
        sizes = self.plan.batch_buckets or bucket_sizes(self.plan.max_batch_size)
        try:
            return tuple(await measure(bench, [self._calm(rows) for rows in sizes]))
        except TrialFailed:
            return ()

    def _calm(self, rows: int) -> list[NDArray[Any]]:
        samples = self.golden.inputs if self.golden else {}
        return calm(self.plan.inputs, rows, samples, batched=self.plan.max_batch_size > 0)
