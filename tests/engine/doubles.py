"""Doubles at the engine's two seams: a receiver that writes down what it is told, and an instance without a process."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.backends.plan import Plan
from service.engine.exchange import Exchange
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.dynamic import DynamicBatcher
from service.errors import HoneError
from service.messages import InferRequest, InferResponse, Tensor
from service.workers.payloads import Timings
from service.workers.usage import Usage

NO_TIME = Timings(input=0, infer=0, output=0)


class Recorder:
    """A Receiver: copies what is emitted, and keeps how it ended."""

    def __init__(self) -> None:
        self.answers: list[NDArray[Any]] = []
        self.endings: list[HoneError | None] = []

    def emit(self, response: InferResponse) -> None:
        self.answers.append(response.outputs[0].array.copy())

    def finish(self, error: HoneError | None) -> None:
        self.endings.append(error)


class ManualInstance:
    """Takes batches and does with the first of them what the test says: answer, fail or die."""

    def __init__(self, listener: DynamicBatcher) -> None:
        self.ready = True
        self.failures = 0
        self.excused = 0
        self.lacks: OSError | MemoryError | None = None
        """What the next batch will not find."""
        self.restarts: dict[str, int] = {}
        self.usage = Usage()
        self.plan = Plan(backend="", path="")
        self.jobs: list[Batch] = []
        self.all_groups: list[Sequence[Sequence[NDArray[Any]]]] = []
        self.groups: Sequence[Sequence[NDArray[Any]]] = ()
        self.sizes: list[int] = []
        self._listener = listener

    @property
    def idle(self) -> bool:
        return self.ready and not self.jobs

    @property
    def takes_another(self) -> bool:
        return self.ready and len(self.jobs) == 1

    @property
    def job(self) -> Batch | None:
        """The batch that is being computed."""
        return self.jobs[0] if self.jobs else None

    def run(self, job: Batch, groups: Sequence[Sequence[NDArray[Any]]]) -> None:
        assert self.idle or self.takes_another
        if error := self.lacks:
            self.lacks = None
            raise error
        self.jobs.append(job)
        self.all_groups.append(groups)
        self.groups = self.all_groups[0]
        self.sizes.append(job.rows)

    def ended(self) -> Batch:
        """The first batch has left."""
        self.all_groups.pop(0)
        if self.all_groups:
            self.groups = self.all_groups[0]
        return self.jobs.pop(0)

    def answer(self, compute: Callable[[NDArray[Any]], NDArray[Any]] = lambda x: x * 2) -> None:
        """Finish the batch; an instance is idle only after its listener has looked at the outputs."""
        assert self.job
        self._listener.job_done(self, self.job, [compute(np.concatenate(list(self.groups[0])))], NO_TIME)  # type: ignore[arg-type]
        self.ended()

    def refuse(self) -> None:
        """Fail the batch as a runtime does."""
        self._listener.job_failed(self, self.ended(), "refused")  # type: ignore[arg-type]

    def die(self, *, blameless: bool = False) -> None:
        """End with what it holds; it stays down until `revive`."""
        self.ready = False
        jobs, self.jobs, self.all_groups = self.jobs, [], []
        self._listener.instance_lost(self, jobs, blameless=blameless)  # type: ignore[arg-type]

    def excuse(self) -> None:
        self.excused += 1

    def revive(self) -> None:
        """Take batches again."""
        self.ready = True
        self._listener.instance_ready(self)  # type: ignore[arg-type]

    async def stop(self) -> None:
        self.ready = False


class TimedInstance(ManualInstance):
    """Answers by itself after the programmed time of a batch, and says that it took exactly that."""

    def __init__(self, listener: Any, seconds: float) -> None:
        super().__init__(listener)
        self.seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def run(self, job: Batch, groups: Sequence[Sequence[NDArray[Any]]]) -> None:
        super().run(job, groups)
        if len(self.jobs) == 1:
            self._begin()

    def die(self, *, blameless: bool = False) -> None:
        if self._timer:
            self._timer.cancel()
        super().die(blameless=blameless)

    def _begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.seconds, self._done)

    def _done(self) -> None:
        groups, job = self.groups, self.ended()
        if self.jobs:
            self._begin()
        timings = Timings(input=0, infer=int(self.seconds * 1e9), output=0)
        self._listener.job_done(self, job, [np.concatenate(list(groups[0])) * 2], timings)  # type: ignore[arg-type]


def request(*values: float, width: int = 3, timeout: float | None = None) -> InferRequest:
    """A request of one FP32 row per value."""
    array = np.repeat(np.array(values, np.float32)[:, None], width, axis=1)
    return InferRequest(
        model="m", version=None, inputs=(Tensor(name="x", datatype="FP32", array=array),), timeout=timeout
    )


class Owner:
    """An ExchangeOwner that hands endings on to the scheduler, as a served model does."""

    def __init__(self) -> None:
        self.scheduler: DynamicBatcher | None = None
        self.ended_count = 0

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        self.ended_count += len(exchanges)
        assert self.scheduler
        for exchange in exchanges:
            if not exchange.started:
                self.scheduler.left(exchange)
