"""Making tensors of what people have (pictures) in a worker process that does nothing else."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.artifact.card import Transform
from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.errors import ArtifactError, DeadlineExceeded, InvalidRequest, NotReady, PoisonRequest, QueueFull
from service.workers.instance import Instance
from service.workers.patience import Patience
from service.workers.trial import TrialFailed, Tried, WorkerEnded

MOST_WAITING = 64
SECONDS = 10.0
"""How long one picture may take; a worker that takes longer is replaced."""
_PAUSE = 0.02


class Preparation:
    """Owns the worker, which is started when the first picture comes, and who waits for it."""

    def __init__(self) -> None:
        plan = Plan(backend="transform", path="")
        self._instance: Instance[object] = Instance(plan, self._resolve, Patience(batch=SECONDS), "transform")
        self._starting: asyncio.Task[None] | None = None
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def tensor(self, content: bytes, transforms: Sequence[Transform], seconds: float) -> NDArray[Any]:
        """What the steps make of a file, within so many seconds.

        Raises InvalidRequest for what is no picture, PoisonRequest where the worker ended over it twice, and QueueFull,
        NotReady or DeadlineExceeded.
        """
        if self._waiting >= MOST_WAITING:
            raise QueueFull(f"{MOST_WAITING} pictures are waiting to be decoded, which is the limit")
        steps = np.frombuffer(msgspec.json.encode(list(transforms)), np.uint8)
        inputs = [steps, np.frombuffer(content, np.uint8)]
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds), self._turn:
                tried = await self._attempts(inputs)
        except TimeoutError:
            raise DeadlineExceeded(f"the picture wasn't decoded within {seconds:.3g} s") from None
        except TrialFailed as error:
            raise InvalidRequest(str(error)) from None
        finally:
            self._waiting -= 1
        raw, shape, floats = tried.outputs
        return raw.view(np.float32 if floats[0] else np.uint8).reshape(shape)

    async def stop(self) -> None:
        """End the worker."""
        if self._starting:
            self._starting.cancel()
            await self._instance.stop()

    async def _attempts(self, inputs: list[NDArray[Any]]) -> Tried:
        """Once, and again where the worker was ended by who knows what."""
        for _ in range(2):
            await self._ready()
            try:
                return await self._instance.attempt(inputs)
            except WorkerEnded:
                continue
        self._instance.excuse()
        raise PoisonRequest("the worker process that decodes pictures ended over this one, twice")

    async def _ready(self) -> None:
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._instance.start())
        try:
            await asyncio.shield(self._starting)  # who came first may have no time for it; others do
        except ArtifactError as error:
            self._starting = None
            raise NotReady(f"no worker that decodes pictures can be started: {error}") from error
        while not self._instance.idle:  # noqa: ASYNC110  (it tells its listener, but not that a slot is free again)
            await asyncio.sleep(_PAUSE)

    def _resolve(self, signature: Signature) -> tuple[Plan, "Preparation"]:
        plan = msgspec.structs.replace(
            self._instance.plan, inputs=signature.inputs, outputs=signature.outputs, slots=1, in_flight=1
        )
        return plan, self

    # -- InstanceListener: there are no jobs, only attempts

    def instance_ready(self, instance: object) -> None:
        """See `InstanceListener`."""

    def job_done(self, instance: object, job: object, outputs: object, timings: object) -> None:
        """See `InstanceListener`."""

    def job_failed(self, instance: object, job: object, text: str) -> None:
        """See `InstanceListener`."""

    def instance_lost(self, instance: object, jobs: Sequence[object], *, blameless: bool) -> None:
        """See `InstanceListener`."""
