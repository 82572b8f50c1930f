"""Generations on their way out: each ends its workers, however soon it is told to hurry."""

import asyncio
from typing import cast

from service.engine.departures import Departures
from service.engine.servable import Servable


class Leaving:
    """What a departure asks of a generation; it never has answered everything."""

    name, version, sequences = "m", "1", "some"

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


async def test_one_that_was_replaced_lingers_before_it_is_drained() -> None:
    """For its grace, until it is told to hurry, or until all is stopped; that it lingers no more is told once."""
    for act in ("wait", "hurry", "stop"):
        leaving, told, gone = Leaving(), list[str](), asyncio.Event()
        departures = Departures(0.01, grace=0.03 if act == "wait" else 60.0, lingered=told.append)
        task = departures.add(cast("Servable", leaving), gone.set, lingers=True)
        assert [cast("Servable", leaving)] == departures.lingering("m") == list(departures)
        if act == "hurry":
            assert [] == departures.hurry("other")
            assert [task] == departures.hurry("m")
            assert [] == departures.lingering("m")
        async with asyncio.timeout(2):
            await (departures.stop() if act == "stop" else task)
        assert (leaving.stopped, gone.is_set(), told) == (True, True, ["m"])
        await asyncio.sleep(0)
        assert [] == list(departures)


async def test_nobody_waits_longer_than_told() -> None:
    """When time is up the workers end, answered or not."""
    leaving, gone = Leaving(), asyncio.Event()
    await Departures(0.01, lingered=lambda _: None).add(cast("Servable", leaving), gone.set)

    assert leaving.stopped
    assert gone.is_set()
