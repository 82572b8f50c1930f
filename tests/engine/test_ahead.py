"""The next batch is sent to a worker shortly before it is done with the one that it has."""

import asyncio

from service.engine.device import Device
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.station import Station
from tests.engine.doubles import Recorder, TimedInstance
from tests.engine.rig import Rig, ending
from tests.engine.virtual_time import in_virtual_time

SECONDS = 0.05
LIMIT = 4


def timed(device: Device, seconds: float = SECONDS, delay: float = 0) -> tuple[Rig, TimedInstance]:
    """A model whose batches take so long, alone in its worker on a device; with a queue delay if one is given."""
    rig = Rig(delay=delay)
    instance = TimedInstance(rig.batcher, seconds)
    profile = LatencyProfile([BucketTime(rows=rows, median=seconds, p95=seconds) for rows in (1, 2, LIMIT)])
    rig.batcher.serve([Station(device, [instance], name="cpu", tokens=1, profile=profile)])  # type: ignore[list-item]
    return rig, instance


def flood(rig: Rig, batches: int) -> list[Recorder]:
    return [rig.submit(value)[1] for value in range(batches * LIMIT)]


@in_virtual_time
async def test_a_worker_finds_its_next_batch_there() -> None:
    """The second is sent in the last part of the first, the third in that of the second; then there is none."""
    rig, instance = timed(Device(1))
    receivers = flood(rig, 3)
    await asyncio.sleep(SECONDS * 0.8)
    assert [4] == instance.sizes

    await asyncio.sleep(SECONDS * 0.1)
    assert [4, 4] == instance.sizes
    assert not any(receiver.endings for receiver in receivers)

    await asyncio.sleep(SECONDS)
    assert ([4, 4, 4], [None]) == (instance.sizes, receivers[0].endings)
    await asyncio.sleep(SECONDS * 1.2)
    assert [None] * 12 == [ending(receiver) for receiver in receivers]
    assert [2.0 * value for value in range(12)] == [receiver.answers[0][0, 0] for receiver in receivers]


@in_virtual_time
async def test_only_a_full_batch_is_sent_ahead() -> None:
    """One that may grow still is decided when the worker is free."""
    rig, instance = timed(Device(1))
    flood(rig, 1)
    await asyncio.sleep(SECONDS * 0.5)
    rig.submit(1, 2, 3)
    await asyncio.sleep(SECONDS * 0.45)
    assert [4] == instance.sizes

    rig.submit(4)
    await asyncio.sleep(SECONDS * 0.1)
    assert [4, 4] == instance.sizes


@in_virtual_time
async def test_nothing_is_sent_ahead_of_another_model() -> None:
    """Whoever waits for the device has his turn; whoever comes after a batch was sent ahead waits for that one too."""
    device = Device(1)
    (one, instance), (other, rival) = timed(device), timed(device)
    flood(one, 4)
    await asyncio.sleep(SECONDS * 0.95)
    assert [4, 4] == instance.sizes

    flood(other, 1)
    await asyncio.sleep(SECONDS)
    assert ([4, 4], []) == (instance.sizes, rival.sizes)
    await asyncio.sleep(SECONDS * 0.1)
    assert ([4, 4], [4]) == (instance.sizes, rival.sizes)
    await asyncio.sleep(SECONDS * 3)
    assert ([4, 4, 4, 4], 1) == (instance.sizes, device._free)


@in_virtual_time
async def test_what_was_sent_ahead_is_not_to_blame() -> None:
    """A worker that crashes takes others with it that it hadn't looked at; they are computed afterwards."""
    rig, instance = timed(Device(1))
    exchanges, receivers = zip(*[rig.submit(value) for value in range(2 * LIMIT)], strict=True)
    await asyncio.sleep(SECONDS * 0.9)
    assert [4, 4] == instance.sizes

    instance.die()
    assert [1] * 4 + [0] * 4 == [exchange.deaths for exchange in exchanges]
    instance.revive()
    await asyncio.sleep(SECONDS * 12)
    assert [None] * 8 == [ending(receiver) for receiver in receivers]


@in_virtual_time
async def test_short_batches_are_not_sent_ahead() -> None:
    """They would be decided by a timer that is as coarse as they are long."""
    rig, instance = timed(Device(1), 0.008)
    flood(rig, 2)
    await asyncio.sleep(0.0079)
    assert [4] == instance.sizes
