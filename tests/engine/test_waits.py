"""The configured delay: for a fuller batch, and never for being late."""

import asyncio

import pytest

from service.artifact.queue_policy import QueuePolicy
from service.engine.profile import BucketTime, LatencyProfile
from tests.engine.rig import Rig, ending, turn
from tests.engine.virtual_time import in_virtual_time

SECONDS = 0.02


def profile() -> LatencyProfile:
    """20 ms for a batch of any size."""
    return LatencyProfile([BucketTime(rows=rows, median=SECONDS, p95=1.0) for rows in (1, 2, 4)])


@in_virtual_time
async def test_a_delay_ends_in_time_for_the_tightest_deadline() -> None:
    """A lone request that has 200 ms is computed before they are over, though the delay is half a second."""
    rig = Rig(profile=profile(), delay=0.5)
    rig.submit(1, seconds=0.2)
    await asyncio.sleep(0.15)
    assert [] == rig.instances[0].sizes

    await asyncio.sleep(0.05 - SECONDS)
    assert [1] == rig.instances[0].sizes


@in_virtual_time
async def test_who_comes_later_and_is_due_sooner_ends_the_delay() -> None:
    """The wait for the first is cut short by the second, and both are computed together."""
    rig = Rig(profile=profile(), delay=0.5)
    rig.submit(1)
    await asyncio.sleep(0.1)
    rig.submit(2, seconds=0.1)
    await asyncio.sleep(0.1 - SECONDS)

    assert [2] == rig.instances[0].sizes


@in_virtual_time
async def test_without_a_profile_half_of_the_time_is_left() -> None:
    """Nobody knows how long a batch takes, so a delay uses no more than half of what anybody grants."""
    rig = Rig(delay=0.5)
    rig.submit(1, seconds=0.2)
    await asyncio.sleep(0.08)
    assert [] == rig.instances[0].sizes

    await asyncio.sleep(0.03)
    assert [1] == rig.instances[0].sizes


@in_virtual_time
async def test_a_delay_ends_before_the_queue_refuses() -> None:
    """A worker that waits by choice takes what the queue's timeout would else end."""
    rig = Rig(delay=0.5, levels=[QueuePolicy(default_timeout_microseconds=100_000)])
    _, receiver = rig.submit(1)
    await asyncio.sleep(0.2)

    assert [1] == rig.instances[0].sizes
    rig.instances[0].answer()
    assert ending(receiver) is None


@in_virtual_time
async def test_a_preferred_size_ends_the_delay() -> None:
    """Two rows are what the configuration wants: they go at once; a third waits for a fourth, or for its time."""
    rig = Rig(delay=0.5, preferred=[2])
    for value in range(3):
        rig.submit(value)
    await turn()
    assert [2] == rig.instances[0].sizes

    rig.instances[0].answer()
    await asyncio.sleep(0.4)
    assert [2] == rig.instances[0].sizes
    await asyncio.sleep(0.11)
    assert [2, 1] == rig.instances[0].sizes


@pytest.mark.parametrize("first, second", [((1,), (2, 3)), ((1, 2), (3,))])
@in_virtual_time
async def test_only_a_preferred_size_that_can_be_made_ends_it(
    first: tuple[float, ...], second: tuple[float, ...]
) -> None:
    """Requests aren't divided, and keep their order: one row and two rows make no batch of two, two and one do."""
    rig = Rig(delay=0.5, preferred=[2])
    rig.submit(*first)
    rig.submit(*second)
    await turn()

    assert ([2] if len(first) == 2 else []) == rig.instances[0].sizes


@in_virtual_time
async def test_rows_of_another_shape_make_no_preferred_size() -> None:
    """Only what can be joined counts."""
    rig = Rig(delay=0.5, preferred=[2])
    rig.submit(1, width=3)
    rig.submit(2, width=5)
    await turn()
    assert [] == rig.instances[0].sizes

    rig.submit(3, width=3)
    await turn()
    assert [2] == rig.instances[0].sizes
