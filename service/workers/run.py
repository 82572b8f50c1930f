"""What a slot of an instance is used for."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

from service.backends.plan import Plan
from service.workers.frames import Extent
from service.workers.region import Region, TensorWriter
from service.workers.trial import Trial, WorkerEnded

Job = TypeVar("Job")


@dataclass(slots=True)
class Run(Generic[Job]):
    """A job or a trial that a worker holds, the slot it lies in, how many nanoseconds it took to put it there, and for
    how many beats it has been there.
    """

    job: Job | Trial
    slot: int
    moving: int
    beats: int = 0


def move(slot: Region, plan: Plan, groups: Sequence[Sequence[NDArray[Any]]]) -> tuple[list[Extent], Region, int]:
    """Put a job's inputs into a slot, or into a region of their own that the caller closes: where they lie, and the
    nanoseconds that it took.
    """
    began = time.perf_counter_ns()
    extents, region = TensorWriter(slot).pack([spec.datatype for spec in plan.inputs], groups)
    return extents, region, time.perf_counter_ns() - began


def lost(runs: Iterable[Run[Job]], cause: str) -> list[Job]:
    """The jobs of a worker that has ended; who waits for a trial is told at once."""
    jobs: list[Job] = []
    for run in runs:
        if isinstance(run.job, Trial):
            run.job.fail(WorkerEnded(f"the worker ended while the model was tried ({cause})"))
        else:
            jobs.append(run.job)
    return jobs
