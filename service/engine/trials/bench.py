"""Where a model is tried: one batch at a time on one instance, each with the device's leave."""

import asyncio
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from service.engine.device import Device
from service.workers.instance import Instance
from service.workers.trial import Tried, WorkerEnded


class Bench:
    """Owns the claim on the device while an instance is tried. Implements `Claimant`."""

    def __init__(self, instance: Instance[Any], device: Device, tokens: int) -> None:
        self.cost = tokens
        self.backlog = 0.0
        self._instance = instance
        self._device = device
        self._granted: asyncio.Future[None] | None = None

    def granted(self) -> None:
        """See `Claimant`."""
        if self._granted and not self._granted.done():
            self._granted.set_result(None)
        else:
            self._device.release(self)

    async def run(self, inputs: Sequence[NDArray[Any]]) -> Tried:
        """Compute one batch when the device is free for it. Raises TrialFailed or WorkerEnded."""
        if not self._device.claim(self):
            self._granted = asyncio.get_running_loop().create_future()
            try:
                await self._granted
            except asyncio.CancelledError:
                self._device.withdraw(self)
                raise
        seconds = 0.0
        try:
            if not self._instance.idle:  # its worker ended between two batches
                raise WorkerEnded("the worker ended while the model was tried")
            tried = await self._instance.attempt(inputs)
            seconds = (tried.timings.input + tried.timings.infer + tried.timings.output) / 1e9
            return tried
        finally:
            self._device.release(self, seconds)

    def close(self) -> None:
        """The device needn't remember it."""
        self._device.withdraw(self)
