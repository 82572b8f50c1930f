"""Requests that end their worker, and a model that ends it whatever it is asked: real workers that crash on a value."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from service.engine.device import Device
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.crew import HOPELESS
from service.engine.scheduling.station import Station
from service.errors import NotReady, PoisonRequest, WorkerLost
from service.workers.instance import Instance
from tests.engine.doubles import Recorder
from tests.engine.rig import Rig, ending
from tests.engine.test_provider_loss import CPU, until, worker

DEADLY = 666
POISONS = 6


@asynccontextmanager
async def crashing() -> AsyncIterator[tuple[Rig, Instance[Batch]]]:
    """A batcher over one worker process that dies of a value."""
    rig = Rig()
    instance = worker(rig.batcher, CPU, exit_on=str(DEADLY))
    await instance.start()
    rig.batcher.serve([Station(Device(1), [instance], name=CPU, tokens=1)])
    try:
        yield rig, instance
    finally:
        await rig.batcher.stop()


async def test_many_poisons_at_once_take_no_innocent_with_them() -> None:
    """Each is found and refused as what it is; who asks meanwhile is never turned away, and waits for an answer."""
    async with crashing() as (rig, instance):
        poisons = [rig.submit(DEADLY, number, width=4)[1] for number in range(POISONS)]
        innocents: list[Recorder] = []
        while not all(poison.endings for poison in poisons):
            innocents.append(rig.submit(len(innocents), width=4)[1])
            await asyncio.sleep(0.1)
        await until(lambda: all(innocent.endings for innocent in innocents))

        assert all(isinstance(ending(poison), PoisonRequest) for poison in poisons)
        assert POISONS == len(rig.condemned)
        assert [None] * len(innocents) == [ending(innocent) for innocent in innocents]
        assert 0 == instance.failures


async def test_a_model_that_crashes_on_everything_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few requests are blamed for it; then the worker is, restarts wait longer each time, and requests are refused at
    once.
    """
    monkeypatch.setattr("service.workers.backoff.EXCUSES", 2)
    monkeypatch.setattr("service.workers.backoff.FIRST", 0.01)
    receivers: list[Recorder] = []
    async with crashing() as (rig, instance):
        while not rig.batcher.crew.is_hopeless and len(receivers) < 20:
            receivers.append(rig.submit(DEADLY, len(receivers), width=4)[1])
            await until(lambda: bool(receivers[-1].endings))

        with pytest.raises(NotReady):
            rig.submit(1, width=4)
        assert [PoisonRequest] * 3 + [WorkerLost] == [type(ending(receiver)) for receiver in receivers]
        assert instance.failures >= HOPELESS
