"""Batches under a backlog: as large as computes most, and no more than half of all that is there."""

import asyncio
import time

from service.engine.device import OWNED
from service.engine.profile import BucketTime, LatencyProfile
from tests.engine.rig import Rig, turn
from tests.engine.virtual_time import in_virtual_time


def profile() -> LatencyProfile:
    """Larger batches gain so little that one row is the best size, and four compute most."""
    return LatencyProfile([BucketTime(rows=rows, median=row * rows, p95=1.0) for rows, row in TIMES])


TIMES = ((1, 0.100), (2, 0.098), (4, 0.096))


async def owned() -> Rig:
    """A rig that has had its device for itself for long enough."""
    rig = Rig(profile=profile())
    rig.submit(1)
    await turn()
    rig.instances[0].answer()
    await asyncio.sleep(OWNED + 1)
    return rig


@in_virtual_time
async def test_as_many_rows_stay_for_the_next_batch() -> None:
    """Those in flight come back, so they count; where fewer are there a smaller size does that is still worth more."""
    rig = await owned()
    sizes = {
        (waiting, in_flight): rig.stations[0].fullest(time.monotonic(), waiting, in_flight)
        for waiting, in_flight in ((8, 0), (4, 4), (4, 0), (3, 1), (1, 7), (1, 0))
    }

    assert {(8, 0): 4, (4, 4): 4, (4, 0): 2, (3, 1): 2, (1, 7): 0, (1, 0): 0} == sizes


@in_virtual_time
async def test_clients_that_come_back_are_computed_in_halves() -> None:
    """Six clients, each of which asks anew when it is answered: batches of two, though four would compute most."""
    rig = await owned()
    (instance,) = rig.instances
    instance.sizes.clear()
    for _ in range(20):
        while len(rig.batcher._queue) + (instance.job.rows if instance.job else 0) < 6:
            rig.submit(1)
        await turn()
        await asyncio.sleep(0.1)
        instance.answer()

    assert {2} == set(instance.sizes)
