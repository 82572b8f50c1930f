"""Whoever is admitted is finished in time, also when others come later and are due sooner."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.queue_policy import QueuePolicy
from service.engine.device import Device
from service.errors import DeadlineExceeded, Infeasible
from tests.engine.doubles import Recorder
from tests.engine.rig import Rig, ending, profile, turn
from tests.engine.test_ahead import SECONDS, timed
from tests.engine.virtual_time import in_virtual_time


async def test_an_urgent_request_does_not_push_an_admitted_one_beyond_its_deadline() -> None:
    """The ninth of nine has no time to lose, so that a tenth that would go before it is refused and told why."""
    rig = Rig(profile=profile())
    for _ in range(9):
        rig.submit(1, seconds=0.5)

    with pytest.raises(Infeasible, match=r"would push one .* ms left, back to 500\.0 ms .*; 0 rows"):
        rig.submit(2, seconds=0.3)


async def test_an_urgent_request_goes_before_those_that_have_time() -> None:
    """The last of eight is finished early enough with another before it; with two it isn't."""
    rig = Rig(profile=profile())
    for _ in range(8):
        rig.submit(1, seconds=0.5)
    urgent, _ = rig.submit(2, seconds=0.3)
    with pytest.raises(Infeasible):
        rig.submit(3, seconds=0.3)
    await turn()

    assert rig.instances[0].job
    assert [urgent] == rig.instances[0].job.exchanges


async def test_who_is_lost_already_is_in_nobodys_way() -> None:
    """When the machine has become slower, one that can't be finished any more doesn't keep another out."""
    known = profile()
    rig = Rig(profile=known)
    _, lost = rig.submit(1, 2, 3, 4, seconds=0.25)
    for _ in range(30):
        known.observe(1, 0.07)
    _, urgent = rig.submit(5, seconds=0.1)
    await turn()
    rig.instances[0].answer()

    assert ending(urgent) is None
    await turn()
    assert isinstance(ending(lost), DeadlineExceeded)


async def test_a_more_important_level_does_not_wait_for_the_promises_of_others() -> None:
    """Priorities go before deadlines."""
    rig = Rig(profile=profile(), levels=[QueuePolicy(), QueuePolicy()])
    for _ in range(9):
        rig.submit(1, seconds=0.5, level=1)

    rig.submit(2, seconds=0.3)


@in_virtual_time
async def test_a_flood_of_urgent_requests_leaves_the_patient_their_time() -> None:
    """Three times as many urgent ones as can be computed: those that came before with more time are all in time."""
    rig, _ = timed(Device(1))
    patient = [rig.submit(value, seconds=SECONDS * 12)[1] for value in range(24)]
    urgent = await flood(rig, 300)

    assert [None] * 24 == [ending(receiver) for receiver in patient]
    assert 60 < len(urgent) < 130
    assert all(ending(receiver) is None for receiver in urgent)


async def flood(rig: Rig, count: int) -> list[Recorder]:
    """Twelve requests in the time of a batch of four; those that were admitted."""
    admitted: list[Recorder] = []
    for value in range(count):
        if receiver := offered(rig, value, SECONDS * 3):
            admitted.append(receiver)
        await asyncio.sleep(SECONDS / 12)
    await asyncio.sleep(SECONDS * 20)
    return admitted


def offered(rig: Rig, value: float, seconds: float) -> Recorder | None:
    """One request; None if it is refused."""
    try:
        return rig.submit(value, seconds=seconds)[1]
    except Infeasible:
        return None


ARRIVALS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.4, 1.5]), st.sampled_from([1.5, 3.0, 6.0, 20.0, 200.0]), st.integers(1, 12)),
    max_size=15,
)
"""Gaps, times that are granted, and how many come at once."""


@given(ARRIVALS, st.sampled_from([0.0, 0.3, 2.0, 50.0]))
def test_whoever_is_admitted_is_in_time(arrivals: list[tuple[float, float, int]], delay: float) -> None:
    """Whatever comes when, with however much time, and however long the configuration wants a worker to wait for a
    fuller batch, where batches take what is foreseen. All times are in batches.
    """
    in_virtual_time(keep)(arrivals, delay)


async def keep(arrivals: list[tuple[float, float, int]], delay: float) -> None:
    rig, _ = timed(Device(1), delay=delay * SECONDS)
    admitted: list[Recorder | None] = []
    for gap, seconds, count in arrivals:
        await asyncio.sleep(gap * SECONDS)
        admitted += [offered(rig, value, seconds * SECONDS) for value in range(count)]
    await asyncio.sleep(200 * SECONDS)

    assert all(ending(receiver) is None for receiver in admitted if receiver)
