"""One model on several devices: one queue, and the next batch goes where it is predicted to be finished first."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.device import Device
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.foresight import Foresight
from service.engine.scheduling.outlook import Outlook
from service.engine.scheduling.station import Station
from service.errors import Infeasible
from tests.engine.doubles import ManualInstance, Recorder, TimedInstance
from tests.engine.rig import Rig, ending, turn
from tests.engine.test_dynamic import EVENTS, play
from tests.engine.virtual_time import in_virtual_time

LIMIT = 4


def profile(batch: float) -> LatencyProfile:
    """A device where every batch takes so many seconds, whatever its rows."""
    return LatencyProfile([BucketTime(rows=rows, median=batch, p95=batch) for rows in (1, 2, LIMIT)])


def pair(fast: float = 0.01, slow: float = 0.1, **options: Any) -> tuple[Rig, ManualInstance, ManualInstance]:
    rig = Rig(profiles=[profile(slow), profile(fast)], **options)
    return rig, rig.instances[1], rig.instances[0]


async def test_of_two_idle_devices_the_faster_is_taken() -> None:
    """In whichever order the configuration names them."""
    rig, fast, slow = pair()
    rig.submit(1)
    await turn()

    assert ([1], []) == (fast.sizes, slow.sizes)


async def test_a_batch_waits_for_the_fast_device_if_it_is_finished_earlier_there() -> None:
    """The slow device idles while waiting for the fast one and computing there takes less than starting now."""
    rig, fast, slow = pair(fast=0.05, slow=1.0)
    rig.submit(1)
    await turn()
    rig.submit(2)
    await turn()
    assert ([1], []) == (fast.sizes, slow.sizes)

    fast.answer()
    await asyncio.sleep(0.02)  # it may linger for company
    assert ([1, 1], []) == (fast.sizes, slow.sizes)


async def test_it_does_not_wait_where_that_would_take_longer() -> None:
    """Twice as slow but idle is as early as fast and busy for a whole batch: it is started now."""
    rig, fast, slow = pair(fast=1.0, slow=1.9)
    rig.submit(1)
    await turn()
    rig.submit(2)
    await turn()

    assert ([1], [1]) == (fast.sizes, slow.sizes)


async def test_the_slow_device_takes_what_stands_behind() -> None:
    """The head of the queue is left to the fast device; the slow one gets the first that it would finish earlier."""
    rig, fast, slow = pair(fast=1.0, slow=2.5)
    for value in range(3 * LIMIT):
        rig.submit(value)
    await turn()

    assert [0, 1, 2, 3] == [array[0, 0] for array in fast.groups[0]]
    assert [8, 9, 10, 11] == [array[0, 0] for array in slow.groups[0]]
    assert LIMIT == rig.metrics.pending()


async def test_what_waits_for_a_device_that_is_late_goes_to_another() -> None:
    """A prediction that proves wrong is looked at again by itself, with no event to prompt it."""
    rig, fast, slow = pair(fast=0.002, slow=0.02)
    rig.submit(1)
    await turn()
    rig.submit(2)
    await turn()
    assert [] == slow.sizes

    until = time.monotonic() + 5
    while not slow.sizes and time.monotonic() < until:
        await asyncio.sleep(0.005)
    assert ([1], [1]) == (fast.sizes, slow.sizes)


async def test_a_device_that_others_use_counts_as_busy() -> None:
    """Tokens that another model holds are waited for, or not, as a batch of one's own would be."""
    rig, fast, slow = pair(fast=1.0, slow=1.5, tokens=1)
    other = Rig(device=rig.devices[1], tokens=1, profile=profile(1.0))
    other.submit(0)
    await turn()
    rig.submit(1)
    await turn()
    assert ([], [1]) == (fast.sizes, slow.sizes)

    rig.submit(2)
    await turn()
    other.instances[0].answer()
    await turn()
    assert ([1], [1]) == (fast.sizes, slow.sizes)


async def test_without_profiles_whoever_is_idle_computes() -> None:
    """Where nothing is known of a device nobody waits for it."""
    rig = Rig(profiles=[None, profile(0.01)])
    for value in range(2 * LIMIT):
        rig.submit(value)
    await turn()

    assert [[4], [4]] == [instance.sizes for instance in rig.instances]


def timed(*seconds: float) -> tuple[Rig, list[TimedInstance]]:
    """A rig on one device for each time that a batch takes."""
    rig = Rig(profiles=[None] * len(seconds))
    instances = [TimedInstance(rig.batcher, each) for each in seconds]
    rig.stations = [
        Station(Device(1), [instance], name=f"{each:g}", tokens=1, profile=profile(each))  # type: ignore[list-item]
        for each, instance in zip(seconds, instances, strict=True)
    ]
    rig.batcher.serve(rig.stations)
    return rig, instances


async def ended(receivers: Sequence[Recorder], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not all(receiver.endings for receiver in receivers) and time.monotonic() < until:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("slow", [0.02, 0.04, 0.1])
@in_virtual_time
async def test_a_fast_and_a_slow_device_share_the_work_by_their_speeds(slow: float) -> None:
    """By the batches that each computed, the pair reaches at least 0.9 of the sum of both."""
    fast, count = 0.02, 60
    rig, instances = timed(slow, fast)
    receivers = [rig.submit(value)[1] for value in range(count * LIMIT)]
    await ended(receivers)

    assert [None] * len(receivers) == [ending(receiver) for receiver in receivers]
    assert count == sum(len(instance.sizes) for instance in instances)
    took = max(len(instances[0].sizes) * slow, len(instances[1].sizes) * fast)
    assert count / (1 / slow + 1 / fast) / took >= 0.9


@pytest.mark.parametrize("blameless", [True, False])
@in_virtual_time
async def test_losing_the_fast_device_under_load_loses_no_request(blameless: bool) -> None:
    """Its batch and all that waited for it are computed by the slow one; when it is back, it is used again."""
    rig, (slow, fast) = timed(0.01, 0.002)
    receivers: list[Recorder] = []

    async def arrive(count: int) -> None:
        for _ in range(count):
            receivers.append(rig.submit(len(receivers))[1])
            await asyncio.sleep(0.0005)

    await arrive(100)
    while not fast.job:
        await asyncio.sleep(0.0005)
    fast.die(blameless=blameless)
    had, before = len(fast.sizes), len(slow.sizes)
    assert rig.batcher.ready
    assert {"0.01": 1, "0.002": 0} == rig.metrics.workers_up

    await arrive(100)
    assert (had, True) == (len(fast.sizes), len(slow.sizes) > before)

    fast.revive()
    await arrive(200)
    await ended(receivers)
    assert [None] * len(receivers) == [ending(receiver) for receiver in receivers]
    assert all(receiver.answers[0][0, 0] == 2 * value for value, receiver in enumerate(receivers))
    assert len(fast.sizes) > had
    assert {"0.01": 1, "0.002": 1} == rig.metrics.workers_up


@given(EVENTS, st.integers(2, 3), st.integers(1, 2), st.booleans(), st.sampled_from([(), (1, 3, 4)]))
def test_every_request_ends_exactly_once_whatever_devices_are_lost(
    events: list[tuple[str, int]], devices: int, instances: int, alike: bool, buckets: tuple[int, ...]
) -> None:
    """Under any mix of arrivals, deadlines, cancellations, refusals, and devices that go and come back."""
    speeds = [0.001 * (1 if alike else 4**number) for number in range(devices)]

    def made() -> Rig:
        return Rig(profiles=[profile(each) for each in speeds], instances=instances, tokens=1, buckets=buckets)

    asyncio.run(play(events, made))


# -- admission


async def test_admission_counts_every_device() -> None:
    """Two devices take twice what one takes; when one is lost, what it would have computed isn't promised."""

    def admitted(rig: Rig) -> int:
        count = 0
        while True:
            try:
                rig.submit(1, seconds=0.5)
            except Infeasible:
                return count
            count += 1

    slow = [BucketTime(rows=rows, median=0.05 * rows, p95=0.05 * rows) for rows in (1, 2, LIMIT)]
    both = Rig(profiles=[LatencyProfile(slow), LatencyProfile(slow)])
    lost = Rig(profiles=[LatencyProfile(slow), LatencyProfile(slow)])
    lost.instances[0].die(blameless=True)
    alone = admitted(Rig(profile=LatencyProfile(slow)))

    assert 9 == alone == admitted(lost)
    assert 2 * alone - LIMIT <= admitted(both) <= 2 * alone


@given(st.integers(1, 4), st.integers(0, 50), st.integers(1, LIMIT))
def test_equal_devices_are_foreseen_as_instances_of_one(devices: int, ahead: int, rows: int) -> None:
    """Nobody foresees anything else of two devices with an instance each than of one with two."""

    def station() -> Station:
        made = Station(Device(1), [ManualInstance(None)], name="d", tokens=1, profile=profile(0.02))  # type: ignore[arg-type, list-item]
        made.open(lambda _: None, int, joins=True)
        return made

    together = Foresight(profile(0.02), instances=devices, joins=True, delay=lambda _: 0.0)
    free, per_row, own = together.parts(rows, ahead, 0.0)

    outlook = Outlook([station() for _ in range(devices)])
    assert free + ahead * per_row + own == pytest.approx(outlook.wait(rows, ahead, 0.0))


async def test_a_batch_that_stands_behind_another_is_counted_once() -> None:
    """A GPU is given a second batch while it computes the first: two batches' time is left, not three's."""
    foresight = Foresight(profile(1.0), instances=1, joins=True, delay=lambda _: 0.0)
    rig = Rig()
    first, second = (Batch([rig.exchange(1)[0]]) for _ in range(2))
    foresight.started(first, 10.0)
    foresight.started(second, 11.0)

    assert (2.0, 1.5, 0.5) == tuple(foresight.parts(1, 0, now)[0] for now in (10.0, 10.5, 11.5))
    assert [11.0, 12.0] == list(foresight.ends())


@given(st.lists(st.floats(0.001, 1.0), min_size=1, max_size=4), st.integers(0, 200), st.integers(0, 200))
def test_more_work_ahead_is_never_foreseen_to_end_earlier(speeds: list[float], ahead: int, more: int) -> None:
    """And another device never makes it later."""
    stations = []
    for seconds in speeds:
        made = Station(Device(1), [ManualInstance(None)], name="d", tokens=1, profile=profile(seconds))  # type: ignore[arg-type, list-item]
        made.open(lambda _: None, int, joins=True)
        stations.append(made)
    outlook = Outlook(stations)

    wait = outlook.wait(1, ahead, 0.0)
    assert wait <= outlook.wait(1, ahead + more, 0.0) * (1 + 1e-9)
    assert wait <= Outlook(stations[:1]).wait(1, ahead, 0.0) * (1 + 1e-9)
