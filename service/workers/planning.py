"""Telling a worker process what to load, and waiting until it has."""

import asyncio
from collections.abc import Sequence

import msgspec
from structlog.typing import FilteringBoundLogger

from service.backends.plan import Plan
from service.errors import ArtifactError
from service.workers.frames import Frame, Kind
from service.workers.payloads import Ready
from service.workers.process import WorkerProcess
from service.workers.region import Region
from service.workers.trial import WorkerEnded


class Planning:
    """Owns the plans that one process is sent, and what it has said to the last of them."""

    def __init__(self, process: WorkerProcess, seconds: float, log: FilteringBoundLogger) -> None:
        """Each plan has so many `seconds` to be loaded."""
        self._log = log
        self._process = process
        self._seconds = seconds
        self._answer: asyncio.Future[Ready] | None = None
        self._cause = ""  # why the process has ended
        self.number = 0
        """Of the last plan."""

    async def load(self, plan: Plan, slots: Sequence[Region]) -> Ready:
        """Send a plan and its slots, and wait until it is loaded.

        Raises ArtifactError with what the worker said or when it takes too long, which ends it; WorkerEnded; OSError or
        FrameError if the plan can't be sent.
        """
        self.number += 1
        answer: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._process.send(Frame(kind=Kind.PLAN, plan=self.number, payload=msgspec.json.encode(plan)), slots)
        try:
            ready = await asyncio.wait_for(answer, self._seconds)
        except TimeoutError:
            self._process.kill()
            raise ArtifactError(f"the model wasn't loaded within {self._seconds:g} s") from None
        if self._cause:  # between its answer and this turn of the loop
            raise self._worker_ended()
        if ready.refusal:
            self._log.info(
                "the model refuses zeros, which nobody sent: Hone made them up to warm it, and goes on without",
                reason=ready.refusal,
            )
        return ready

    def loaded(self, ready: Ready) -> None:
        """The process has loaded the plan."""
        if answer := self._awaited():
            answer.set_result(ready)

    def refused(self, text: str) -> bool:
        """The process can't load the plan, for the reason that the text gives; False when nobody waits for that."""
        answer = self._awaited()
        if answer:
            answer.set_exception(ArtifactError(text))
        return answer is not None

    def ended(self, cause: str) -> None:
        """The process is gone."""
        self._cause = cause
        if answer := self._awaited():
            answer.set_exception(self._worker_ended())

    def _awaited(self) -> asyncio.Future[Ready] | None:
        return self._answer if self._answer and not self._answer.done() else None

    def _worker_ended(self) -> WorkerEnded:
        return WorkerEnded(f"the worker ended while it loaded the model ({self._cause})")
