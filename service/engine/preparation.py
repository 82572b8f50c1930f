"""Making tensors of what people have (pictures, texts) in a worker process that does nothing else."""

import asyncio
from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.datatypes import NUMPY_DTYPES
from service.engine.transformation import Transformation
from service.errors import ArtifactError, DeadlineExceeded, InvalidRequest, NotReady, PoisonRequest, QueueFull
from service.workers.instance import Instance
from service.workers.patience import Patience
from service.workers.trial import TrialFailed, Tried, WorkerEnded

MOST_WAITING = 64
SECONDS = 10.0
"""How long one of them may take; a worker that takes longer is replaced."""
_PAUSE = 0.02


class Preparation:
    """Owns the worker, which is started when the first of them comes, and who waits for it."""

    def __init__(self) -> None:
        self._instance = self._unstarted()
        self._starting: asyncio.Task[None] | None = None
        self._waiting = 0
        self._turn = asyncio.Lock()

    async def tensors(self, content: bytes, wanted: Transformation, seconds: float) -> list[NDArray[Any]]:
        """What the steps make of a picture's file or a text, in their order, within so many seconds.

        Raises InvalidRequest for what can't be decoded, PoisonRequest where the worker ended over it twice, and
        QueueFull, NotReady or DeadlineExceeded.
        """
        if self._waiting >= MOST_WAITING:
            raise QueueFull(f"{MOST_WAITING} pictures and texts are waiting to be decoded, which is the limit")
        self._waiting += 1
        try:
            async with asyncio.timeout(seconds), self._turn:
                made = await self._made(content, wanted)
        except TimeoutError:
            raise DeadlineExceeded(f"the {wanted.medium} wasn't decoded within {seconds:.3g} s") from None
        except TrialFailed as error:
            raise InvalidRequest(f'model "{wanted.model}": {error}') from None
        finally:
            self._waiting -= 1
        return made

    async def stop(self) -> None:
        """End the worker."""
        if self._starting:
            self._starting.cancel()
            await self._instance.stop()

    async def _made(self, content: bytes, wanted: Transformation) -> list[NDArray[Any]]:
        tensors, shapes = await self._attempts(content, wanted, b"")
        if not shapes:
            tensors, shapes = await self._attempts(content, wanted, wanted.tokenizer)
        made, start = [], 0
        for spec, shape in zip(wanted.tensors, shapes, strict=True):
            dtype = NUMPY_DTYPES[spec.datatype]
            end = start + prod(shape) * dtype.itemsize
            made.append(tensors[start:end].view(dtype).reshape(shape))
            start = end
        return made

    async def _attempts(
        self, content: bytes, wanted: Transformation, tokenizer: bytes
    ) -> tuple[NDArray[Any], list[tuple[int, ...]]]:
        """Once, and again where the worker was ended by who knows what; no shapes where it lacks the tokenizer."""
        inputs = [np.frombuffer(part, np.uint8) for part in (wanted.order, content, tokenizer)]
        for _ in range(2):
            await self._ready()
            attempt = asyncio.ensure_future(self._attempt(inputs))
            attempt.add_done_callback(lambda done: done.cancelled() or done.exception())  # who waits may have gone
            try:
                tensors, shapes = (await asyncio.shield(attempt)).outputs
            except WorkerEnded:
                continue
            return tensors, msgspec.json.decode(shapes.tobytes(), type=list[tuple[int, ...]])
        raise PoisonRequest(
            f"the worker process that decodes pictures and texts ended over this {wanted.medium}, twice"
        )

    async def _attempt(self, inputs: Sequence[NDArray[Any]]) -> Tried:
        """Goes on where its client leaves: a worker that ends then has ended over what was sent, too."""
        try:
            return await self._instance.attempt(inputs)
        except WorkerEnded:
            self._instance.excuse()
            raise

    async def _ready(self) -> None:
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._instance.start())
        try:
            await asyncio.shield(self._starting)  # who came first may have no time for it; others do
        except ArtifactError as error:
            self._starting, self._instance = None, self._unstarted()  # the other one has been stopped for good
            raise NotReady(f"no worker that decodes pictures and texts can be started: {error}") from error
        while not self._instance.idle:  # noqa: ASYNC110  (it tells its listener, but not that a slot is free again)
            await asyncio.sleep(_PAUSE)

    def _unstarted(self) -> Instance[object]:
        return Instance(Plan(backend="transform", path=""), self._resolve, Patience(batch=SECONDS), "transform")

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
