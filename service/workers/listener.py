"""What an instance tells whoever gives it jobs."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from service.workers.payloads import Timings

Job_contra = TypeVar("Job_contra", contravariant=True)


class InstanceListener(Protocol[Job_contra]):
    """Who hands an instance its jobs and takes what comes of them. Called on the event loop."""

    def instance_ready(self, instance: Any) -> None:
        """The instance takes jobs (again)."""

    def job_done(self, instance: Any, job: Job_contra, outputs: Sequence[NDArray[Any]], timings: Timings) -> None:
        """The outputs, in the plan's order: views that are valid during this call only."""

    def job_failed(self, instance: Any, job: Job_contra, text: str) -> None:
        """The runtime refused the job; the worker goes on."""

    def instance_lost(self, instance: Any, jobs: Sequence[Job_contra], *, blameless: bool) -> None:
        """The worker ended while it held `jobs`; `blameless` when it was killed or stopped from outside.

        `instance.excuse()`, called now, says that it was a job that ended it.
        """
