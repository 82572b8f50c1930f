"""Batches that nobody asked for: a model is tried on an instance before the instance is given jobs."""

import asyncio
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from service.errors import ArtifactError
from service.workers.payloads import Timings


class WorkerEnded(ArtifactError):
    """The process ended without saying why."""


class TrialFailed(Exception):
    """The runtime refused a trial; the text may be shown to whoever runs the server."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What came of a trial: copies of the outputs in the plan's order, and what they took."""

    outputs: list[NDArray[Any]]
    timings: Timings


class Trial:
    """One such batch, from when it is sent to when it is answered; whoever waits may have gone meanwhile."""

    def __init__(self) -> None:
        self.done: asyncio.Future[Tried] = asyncio.get_running_loop().create_future()

    def succeed(self, outputs: list[NDArray[Any]], timings: Timings) -> None:
        """The worker has answered; `outputs` may be views of memory that is used again."""
        if not self.done.done():
            self.done.set_result(Tried(outputs=[output.copy() for output in outputs], timings=timings))

    def fail(self, error: TrialFailed | WorkerEnded) -> None:
        """There will be no answer."""
        if not self.done.done():
            self.done.set_exception(error)
