"""Generations on their way out: each ends its workers, however soon it is told to hurry."""

import asyncio
from typing import cast

from service.engine.departures import Departures
from service.engine.servable import Servable


class Leaving:
    """What a departure asks of a generation; it never has answered everything."""

    name, version = "m", "1"

    def __init__(self) -> None:
        self.stopped = False

    async def linger(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def drain(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return False

    async def stop(self) -> None:
        self.stopped = True


async def test_a_stop_right_after_a_departure_ends_its_workers() -> None:
    """Also in the same turn of the loop, when the departure had no time yet for its first step."""
    leaving, gone = Leaving(), asyncio.Event()
    departures = Departures(60.0, lingered=lambda _: None)
    task = departures.add(cast("Servable", leaving), gone.set)
    async with asyncio.timeout(2):
        await departures.stop()

    assert leaving.stopped
    assert gone.is_set()
    assert task.done()


async def test_nobody_waits_longer_than_told() -> None:
    """When time is up the workers end, answered or not."""
    leaving, gone = Leaving(), asyncio.Event()
    await Departures(0.01, lingered=lambda _: None).add(cast("Servable", leaving), gone.set)

    assert leaving.stopped
    assert gone.is_set()
