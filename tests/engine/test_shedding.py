"""Refusing again what was just refused: the same, until it might be different."""

import asyncio

import pytest

from service.errors import Infeasible
from tests.engine.rig import Rig, profile, turn
from tests.engine.virtual_time import in_virtual_time


async def full(row: float = 0.05, *, devices: int = 1) -> Rig:
    """A device that computes the first of nine rows, which have ten times the seconds that one takes: the next would be
    finished when its time is up, and lacks the margin. Or two devices and nearly twice as many rows.
    """
    rig = Rig(profiles=[profile(row) for _ in range(devices)])
    for _ in range(8 * devices + 1):
        rig.submit(1, seconds=row * 10)
    await turn()
    return rig


def refusal(rig: Rig, seconds: float, weight: float = 1.0) -> Infeasible:
    with pytest.raises(Infeasible) as caught:
        rig.batcher.precheck(seconds, weight)
    return caught.value


@pytest.mark.parametrize("devices", [1, 2])
@in_virtual_time
async def test_it_is_the_same_while_nothing_changes(devices: int) -> None:
    """For whoever has as much time, and is as long; nobody else."""
    rig = await full(devices=devices)
    first = refusal(rig, 0.5)

    assert refusal(rig, 0.5) is first
    assert refusal(rig, 0.501) is not first
    assert refusal(rig, 0.5, 0.9) is not first
    rig.batcher.precheck(0.5, 0.1)
    rig.batcher.precheck(5.0, 1.0)


@in_virtual_time
async def test_it_is_another_when_somebody_has_come_or_gone() -> None:
    """A request that waits, one that has left, and a batch that has ended: each changes what is foreseen."""
    rig = await full()
    said = [refusal(rig, 0.5)]
    exchange, _ = rig.submit(1, seconds=60)
    said.append(refusal(rig, 0.5))
    exchange.cancel()
    said.append(refusal(rig, 0.5))

    assert len({id(one) for one in said}) == 3
    rig.instances[0].answer()
    rig.batcher.precheck(0.5, 1.0)


@in_virtual_time
async def test_it_is_another_after_a_batch_that_nothing_was_learnt_from() -> None:
    """As many wait as before, and as many batches are in flight; but what is in flight is another one."""
    rig = await full()
    first = refusal(rig, 0.06)
    await asyncio.sleep(0.02)
    rig.instances[0].answer()
    await turn()
    rig.submit(1, seconds=60)

    assert refusal(rig, 0.06) is not first
    assert refusal(rig, 0.06) is refusal(rig, 0.06)


@in_virtual_time
async def test_it_is_said_as_long_as_it_holds() -> None:
    """What lacks 31 ms is refused for as long, and then admitted."""
    rig = await full()
    late = refusal(rig, 0.5)
    assert late.wait == pytest.approx(0.031)
    await asyncio.sleep(0.030)
    assert refusal(rig, 0.5) is late

    await asyncio.sleep(0.0015)
    rig.batcher.precheck(0.5, 1.0)


@in_virtual_time
async def test_it_is_not_said_for_long() -> None:
    """What lacks 0.6 seconds is computed anew after 50 ms: others may have left the device."""
    rig = await full(1.0)
    far = refusal(rig, 10.0)
    await asyncio.sleep(0.04)
    assert refusal(rig, 10.0) is far

    await asyncio.sleep(0.02)
    assert refusal(rig, 10.0) is not far
