"""What a slot of an instance is used for."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from service.workers.trial import Trial, WorkerEnded

Job = TypeVar("Job")


@dataclass(slots=True)
class Run(Generic[Job]):
    """A job or a trial that a worker holds, the slot it lies in, and for how many beats it has been there."""

    job: Job | Trial
    slot: int
    beats: int = 0


def lost(runs: Iterable[Run[Job]], cause: str) -> list[Job]:
    """The jobs of a worker that has ended; who waits for a trial is told at once."""
    jobs: list[Job] = []
    for run in runs:
        if isinstance(run.job, Trial):
            run.job.fail(WorkerEnded(f"the worker ended while the model was tried ({cause})"))
        else:
            jobs.append(run.job)
    return jobs
