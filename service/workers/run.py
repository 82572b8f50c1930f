"""What a slot of an instance is used for."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from service.workers.trial import Trial

Job = TypeVar("Job")


@dataclass(slots=True)
class Run(Generic[Job]):
    """A job or a trial that a worker holds, the slot it lies in, and for how many beats it has been there."""

    job: Job | Trial
    slot: int
    beats: int = 0
