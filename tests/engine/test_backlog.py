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

    assert {(8, 0): 4, (4, 4): 4, (4, 0): 2, (3, 1): 2, (1, 7): 0, (1, 0): 0} == {
        counts: calm for counts, (calm, hasty) in sizes.items() if not hasty
    }


@in_virtual_time
async def test_in_haste_batches_take_half_the_time_that_is_granted() -> None:
    """Where four compute most and one row is the best size: a batch of two takes 196 ms, and one of four 384."""
    for granted, waiting, taken in ((0.45, 3, 2), (0.9, 4, 4)):
        rig = await owned()
        (instance,) = rig.instances
        rig.submit(1, seconds=granted)
        await turn()
        for _ in range(waiting):
            rig.submit(1, seconds=granted)
        instance.sizes.clear()
        instance.answer()
        await turn()

        assert [taken] == instance.sizes[:1]


@in_virtual_time
async def test_who_has_time_does_not_go_before_who_may_come_in_haste() -> None:
    """Within five seconds of somebody in haste batches are no larger than is worth it."""
    rig = await owned()
    (instance,) = rig.instances
    rig.submit(1, seconds=1.0)
    await turn()
    for _ in range(8):
        rig.submit(1)
    instance.sizes.clear()
    instance.answer()
    await turn()
    await asyncio.sleep(OWNED + 1)  # the second batch is sent ahead
    instance.answer()
    instance.answer()
    await turn()

    assert [1, 1, 2] == instance.sizes


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


@in_virtual_time
async def test_haste_is_noticed_by_every_device() -> None:
    """Whichever has just refused or admitted somebody in haste: none of them begins a batch that is long."""
    rig = Rig(profiles=[profile(), profile()])
    await asyncio.sleep(OWNED + 1)
    rig.submit(1, seconds=1.0)
    now = time.monotonic()

    assert [now, now] == [station.foresight.hurried for station in rig.stations if station.foresight]


@in_virtual_time
async def test_haste_is_noticed_where_time_is_plenty() -> None:
    """Who has a hundred times as long as a row takes may still have less than the largest batch does."""
    rows = LatencyProfile([BucketTime(rows=rows, median=rows * 1e-3, p95=1.0) for rows in (1, 64)])
    rig = Rig(profile=rows)
    await asyncio.sleep(OWNED + 1)
    rig.submit(1, seconds=0.2)

    assert rig.stations[0].foresight
    assert rig.stations[0].foresight.hurried == time.monotonic()


@in_virtual_time
async def test_a_deep_backlog_has_batches_as_large_as_a_shallow_one() -> None:
    """Also where a batch has more rows than are usually looked at."""
    fast = [BucketTime(rows=rows, median=rows * row, p95=1.0) for rows, row in ((1, 5e-4), (64, 4.9e-4), (128, 4.8e-4))]
    sizes = []
    for waiting in (300, 600):
        rig = Rig(profile=LatencyProfile(fast), max_rows=128)
        rig.submit(1)
        await asyncio.sleep(OWNED + 1)
        for _ in range(waiting):
            rig.submit(1, seconds=600)
        rig.instances[0].answer()
        await turn()
        sizes.append(rig.instances[0].sizes[-1])

    assert sizes == [128, 128]
