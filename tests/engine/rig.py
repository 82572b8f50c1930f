"""A batcher over manual instances, and what tests do with it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, cast

from numpy.typing import NDArray

from service.artifact.queue_policy import QueuePolicy
from service.engine.device import Device
from service.engine.exchange import Exchange
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.dynamic import DynamicBatcher
from service.engine.scheduling.policy import BatchingPolicy
from service.engine.scheduling.station import Station
from service.errors import HoneError
from service.messages import InferResponse, Tensor
from service.metrics import ModelMetrics
from tests.engine.doubles import ManualInstance, Owner, Recorder, request


def profile(row: float = 0.05) -> LatencyProfile:
    """A model that takes `row` seconds for each row, whatever the batch: a second for 20 rows."""
    return LatencyProfile([BucketTime(rows=rows, median=row * rows, p95=row * rows) for rows in (1, 2, 4)])


class Rig:
    """A batcher over manual instances; made inside a running loop."""

    def __init__(
        self,
        *,
        instances: int = 1,
        tokens: int = 8,
        join: bool = True,
        delay: float = 0,
        preferred: Sequence[int] = (),
        most: int = 1000,
        room: int = 10**6,
        profile: LatencyProfile | None = None,
        profiles: Sequence[LatencyProfile | None] = (),
        buckets: Sequence[int] = (),
        levels: Sequence[QueuePolicy] = (QueuePolicy(),),
        device: Device | None = None,
        max_rows: int = 4,
    ) -> None:
        """With `profiles` there is a device for each of them, all with as many `instances` and `tokens`.

        `most` requests may wait, and `room` bytes.
        """
        self.metrics = ModelMetrics()
        self.levels = levels
        self.device = device or Device(tokens)
        self.devices = [self.device, *[Device(tokens) for _ in profiles[1:]]]
        self.owner = Owner()
        self.condemned: list[Exchange] = []
        policy = BatchingPolicy(
            max_rows=max_rows,
            join=join,
            delay=delay,
            preferred=preferred,
            max_queued_requests=most,
            max_queued_bytes=room,
            shapes_vary=True,
            levels=levels,
        )
        self.batcher = DynamicBatcher(policy, self.metrics, respond, self.condemned.append)
        self.owner.scheduler = self.batcher
        self.stations = [
            Station(
                device,
                [ManualInstance(self.batcher) for _ in range(instances)],  # type: ignore[misc]
                name=f"device{number}",
                tokens=1,
                profile=profiles[number] if profiles else profile,
                buckets=buckets,
            )
            for number, device in enumerate(self.devices)
        ]
        self.batcher.serve(self.stations)

    @property
    def instances(self) -> list[ManualInstance]:
        """Those of all devices."""
        return cast("list[ManualInstance]", self.batcher.crew.instances)

    def submit(
        self, *values: float, seconds: float = 60, width: int = 3, level: int = 0, asks: float | None = None
    ) -> tuple[Exchange, Recorder]:
        exchange, receiver = self.exchange(*values, seconds=seconds, width=width, level=level, asks=asks)
        self.batcher.submit(exchange)
        return exchange, receiver

    def exchange(
        self, *values: float, seconds: float = 60, width: int = 3, level: int = 0, asks: float | None = None
    ) -> tuple[Exchange, Recorder]:
        """An exchange that nobody has submitted yet."""
        receiver = Recorder()
        asked = request(*values, width=width, timeout=asks)
        now = time.monotonic()
        exchange = Exchange(
            request=asked,
            receiver=receiver,
            owner=self.owner,
            inputs=[asked.inputs[0].array],
            outputs=[],
            rows=len(values),
            nbytes=asked.inputs[0].array.nbytes,
            admitted=now,
            deadline=now + seconds,
            level=level,
        )
        return exchange, receiver


def respond(exchange: Exchange, arrays: Sequence[NDArray[Any]]) -> None:
    """Hand the answer on, as a served model does."""
    exchange.emit(InferResponse(model="m", version="1", outputs=(Tensor(name="y", datatype="FP32", array=arrays[0]),)))


async def turn() -> None:
    """Let what is due on the loop happen."""
    for _ in range(3):
        await asyncio.sleep(0)


def ending(receiver: Recorder) -> HoneError | None:
    (error,) = receiver.endings
    return error
