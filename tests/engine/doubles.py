"""Doubles at the engine's two seams: a receiver that writes down what it is told, and an instance without a process."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.engine.exchange import Exchange
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.dynamic import DynamicBatcher
from service.errors import HoneError
from service.messages import InferRequest, InferResponse, Tensor
from service.workers.payloads import Timings

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
    """Takes one batch at a time and does with it what the test says: answer, fail or die."""

    def __init__(self, listener: DynamicBatcher) -> None:
        self.ready = True
        self.failures = 0
        self.restarts: dict[str, int] = {}
        self.stats = None
        self.job: Batch | None = None
        self.groups: Sequence[Sequence[NDArray[Any]]] = ()
        self.sizes: list[int] = []
        self._listener = listener

    @property
    def idle(self) -> bool:
        return self.ready and self.job is None

    def run(self, job: Batch, groups: Sequence[Sequence[NDArray[Any]]]) -> None:
        assert self.idle
        self.job, self.groups = job, groups
        self.sizes.append(job.rows)

    def answer(self, compute: Callable[[NDArray[Any]], NDArray[Any]] = lambda x: x * 2) -> None:
        """Finish the batch; an instance is idle only after its listener has looked at the outputs."""
        assert self.job
        job = self.job
        self._listener.job_done(self, job, [compute(np.concatenate(list(self.groups[0])))], NO_TIME)  # type: ignore[arg-type]
        self.job = None

    def refuse(self) -> None:
        """Fail the batch as a runtime does."""
        assert self.job
        job, self.job = self.job, None
        self._listener.job_failed(self, job, "refused")  # type: ignore[arg-type]

    def die(self, *, blameless: bool = False) -> None:
        """End with what it holds; it stays down until `revive`."""
        self.ready = False
        jobs = [self.job] if self.job else []
        self.job = None
        self._listener.instance_lost(self, jobs, blameless=blameless)  # type: ignore[arg-type]

    def revive(self) -> None:
        """Take batches again."""
        self.ready = True
        self._listener.instance_ready(self)  # type: ignore[arg-type]

    async def stop(self) -> None:
        self.ready = False


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

    def ended(self, exchange: Exchange, error: HoneError | None) -> None:
        self.ended_count += 1
        assert self.scheduler
        if not exchange.started:
            self.scheduler.left(exchange)
