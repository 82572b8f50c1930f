"""Sequences whose model is replaced: they go on where they began, those that begin then go to the new generation."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.errors import InvalidRequest, ModelNotFound
from tests.engine.rig import ending, turn
from tests.engine.succession_rig import SuccessionRig, settled
from tests.engine.virtual_time import in_virtual_time

UNKNOWN = "must specify the START flag"


@in_virtual_time
async def test_a_sequence_ends_at_the_generation_that_it_began_at(tmp_path: Path) -> None:
    """A reload in the midst of it changes no answer; its generation ends with it, and plain requests never see it."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    assert (1, 2) == await rig.ask(7, 2, start=True)
    await rig.bring(1, reload=True)
    assert (2, 10) == await rig.ask(8, 10, start=True)
    assert (1, 5) == await rig.ask(7, 3)
    assert (2, 11) == await rig.ask(8, 1)
    await settled()
    assert [1, 2] == rig.working
    assert (1, 9) == await rig.ask(7, 4, end=True)
    await settled()
    assert [2] == rig.working
    with pytest.raises(InvalidRequest, match=UNKNOWN):
        rig.submit(7, 1)
    await rig.catalog.stop()


@in_virtual_time
async def test_a_generation_without_sequences_ends_at_once(tmp_path: Path) -> None:
    """Nobody waits for it; and what is under way when it is replaced is answered by it."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    await rig.bring(1, reload=True)
    await settled()
    assert [2] == rig.working
    first, _, receiver = rig.submit(7, 2, start=True, end=True)
    await rig.bring(1, reload=True)
    assert [2, 3] == rig.working
    first.compute()
    await settled()
    assert [2002] == [answer.item() for answer in receiver.answers]
    assert [3] == rig.working
    await rig.catalog.stop()


@in_virtual_time
async def test_another_version_takes_over(tmp_path: Path) -> None:
    """Sequences that named the version or none go on at it; nothing begins there, and it isn't listed as served."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    assert (1, 2) == await rig.ask(7, 2, start=True)
    assert (1, 3) == await rig.ask("named", 3, start=True, version="1")
    await rig.bring(2)
    assert ("2",) == rig.catalog.versions("m")
    assert ["UNLOADING", "READY"] == [entry.state for entry in rig.catalog.index()]
    assert (1, 3) == await rig.ask(7, 1)
    assert (1, 4) == await rig.ask("named", 1, version="1")
    with pytest.raises(ModelNotFound, match='has no version "1"; served: 2'):
        rig.submit(9, 1, start=True, version="1")
    with pytest.raises(InvalidRequest, match=UNKNOWN):
        rig.submit(7, 1, version="2")
    assert (1, 3) == await rig.ask(7, 0, end=True)
    assert (1, 4) == await rig.ask("named", 0, end=True, version="1")
    await settled()
    assert ["READY"] == [entry.state for entry in rig.catalog.index()]
    with pytest.raises(ModelNotFound):
        rig.submit("named", 1, version="1")
    await rig.catalog.stop()


@in_virtual_time
async def test_a_version_that_comes_back_while_it_still_departs(tmp_path: Path) -> None:
    """Each of three generations goes on with its own, also where two are of one version."""
    rig = SuccessionRig(tmp_path)
    for number, version in enumerate((1, 2, 1), start=1):
        await rig.bring(version)
        assert (number, number) == await rig.ask(number, number, start=True)
    assert [1, 2, 3] == rig.working
    for number in (1, 2, 3):
        assert (number, number + 5) == await rig.ask(number, 5)
    for number in (2, 1, 3):
        assert (number, number + 6) == await rig.ask(number, 1, end=True)
    await settled()
    assert [3] == rig.working
    assert ["1"] == [entry.version for entry in rig.catalog.index()]
    await rig.catalog.stop()


@in_virtual_time
async def test_a_start_ends_the_sequence_of_its_name_wherever_it_is(tmp_path: Path) -> None:
    """Its steps under way are answered; nobody goes on from it, even if the start is refused."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    for name in (7, 8):
        await rig.ask(name, 2, start=True)
    first, _, under_way = rig.submit(7, 1)
    await rig.bring(1, reload=True)
    assert (2, 50) == await rig.ask(7, 50, start=True)
    with pytest.raises(InvalidRequest, match="sequence_start"):
        rig.submit(8, 1, start=1)
    first.compute()
    await settled()
    assert [1003] == [answer.item() for answer in under_way.answers]
    assert [2] == rig.working
    assert (2, 51) == await rig.ask(7, 1, end=True)
    for name in (7, 8):
        with pytest.raises(InvalidRequest, match=UNKNOWN):
            rig.submit(name, 1)
    await rig.catalog.stop()


@in_virtual_time
async def test_a_sequence_that_is_idle_for_too_long_is_waited_for_no_more(tmp_path: Path) -> None:
    """Its generation ends with its last sequence, however that ends."""
    rig = SuccessionRig(tmp_path, idle=5_000_000)
    await rig.bring(1)
    await rig.ask(7, 2, start=True)
    await rig.bring(1, reload=True)
    for _ in range(4):
        await asyncio.sleep(4)
        await rig.ask(7, 1)
    assert [1, 2] == rig.working
    await asyncio.sleep(6)
    assert [2] == rig.working
    with pytest.raises(InvalidRequest, match=UNKNOWN):
        rig.submit(7, 1)
    await rig.catalog.stop()


@in_virtual_time
async def test_sequences_without_end_are_not_waited_for_without_end(tmp_path: Path) -> None:
    """When the grace is over, what is under way is still answered; then memory and workers are free."""
    rig = SuccessionRig(tmp_path, grace=20.0)
    await rig.bring(1)
    await rig.ask(7, 2, start=True)
    await rig.bring(1, reload=True)
    await asyncio.sleep(19)
    first, _, receiver = rig.submit(7, 1)
    await asyncio.sleep(2)
    with pytest.raises(InvalidRequest, match=UNKNOWN):
        rig.submit(7, 1)
    assert [1, 2] == rig.working
    first.compute()
    await settled()
    assert [None] == receiver.endings
    assert [2] == rig.working
    await rig.catalog.stop()


async def unload(rig: SuccessionRig) -> None:
    """As a client does, who waits until all has ended."""
    tasks = rig.catalog.unload("m", forget=False)
    assert 2 == len(tasks)
    await asyncio.wait(tasks, timeout=1)


async def vanish(rig: SuccessionRig) -> None:
    """The folder has no version any more."""
    await rig.bring()
    await settled()


@pytest.mark.parametrize("go", [unload, vanish])
@in_virtual_time
async def test_who_unloads_a_model_waits_for_no_sequence(
    tmp_path: Path, go: Callable[[SuccessionRig], Awaitable[None]]
) -> None:
    """Neither for those of the generation that serves nor for those of one before; steps under way are answered."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    await rig.ask(7, 2, start=True)
    await rig.bring(1, reload=True)
    await rig.ask(8, 2, start=True)
    first, _, receiver = rig.submit(7, 1)
    going = asyncio.ensure_future(go(rig))
    await settled()
    assert [1] == rig.working
    first.compute()
    await going
    await settled()
    assert [None] == receiver.endings
    assert [] == rig.working
    for name in (7, 8):
        with pytest.raises(ModelNotFound):
            rig.submit(name, 1)
    await rig.catalog.stop()


@in_virtual_time
async def test_a_stop_waits_for_no_sequence(tmp_path: Path) -> None:
    """Nobody could send its next step."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    await rig.ask(7, 2, start=True)
    await rig.bring(1, reload=True)
    async with asyncio.timeout(1):
        await rig.catalog.stop()
    assert [] == rig.working


@in_virtual_time
async def test_a_newer_version_beside_it(tmp_path: Path) -> None:
    """Where both are served, sequences that named none stay too, and don't meet those of the same name that did."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    await rig.ask("mine", 2, start=True)
    await rig.ask("both", 3, start=True, version="1")
    await rig.bring(1, 2)
    assert (1, 3) == await rig.ask("mine", 1)
    assert (2, 9) == await rig.ask("both", 9, start=True)
    assert (1, 4) == await rig.ask("both", 1, version="1")
    assert (2, 10) == await rig.ask("both", 1, end=True)
    with pytest.raises(InvalidRequest, match=UNKNOWN):
        rig.submit("both", 1)
    await rig.bring(2)
    assert (1, 4) == await rig.ask("mine", 1)
    assert (1, 5) == await rig.ask("both", 1, version="1")
    await rig.catalog.stop()


@in_virtual_time
async def test_a_model_that_has_no_sequences_any_more(tmp_path: Path) -> None:
    """Those in progress go on; who names one that isn't, or none, is answered by what is served."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    await rig.ask(7, 2, start=True)
    await rig.bring(1, config=rig.plain)
    assert (1, 3) == await rig.ask(7, 1)
    assert (2, 1) == await rig.ask(None, 1)
    assert (2, 1) == await rig.ask(9, 1)
    assert (2, 4) == await rig.ask(7, 4, start=True)
    await settled()
    assert [2] == rig.working
    await rig.catalog.stop()


@in_virtual_time
async def test_counted_where_it_was_computed(tmp_path: Path) -> None:
    """Each generation's numbers have its own steps, and the version's go on when one ends."""
    rig = SuccessionRig(tmp_path)
    await rig.bring(1)
    await rig.ask(7, 2, start=True)
    await rig.bring(2)
    await rig.ask(8, 2, start=True)
    await rig.ask(7, 2)
    old, new = rig.made
    assert [2, 1] == [model.metrics.requests["http", "ok"] for model in (old, new)]
    assert [2, 1] == [model.metrics.statistics.successes for model in (old, new)]
    assert [1, 1] == [model.metrics.sequences() for model in (old, new)]
    await rig.ask(7, 2, end=True)
    assert 0 == old.metrics.sequences()
    await rig.catalog.stop()


@in_virtual_time
async def test_what_waits_in_a_generation_that_is_replaced(tmp_path: Path) -> None:
    """Sequences that wait for a slot there, and steps that wait for their turn, have theirs."""
    rig = SuccessionRig(tmp_path, slots=1)
    await rig.bring(1)
    sent = [rig.submit(name, x, start=x == 1, end=x == 3) for name in (7, 8) for x in (1, 2)]
    await rig.bring(1, reload=True)
    sent += [rig.submit(name, 3, end=True) for name in (7, 8)]
    for _ in range(6):
        await turn()
        rig.made[0].compute()
    await settled()
    assert [None] * 6 == [ending(receiver) for *_, receiver in sent]
    assert [1001, 1003, 1001, 1003, 1006, 1006] == [receiver.answers[0].item() for *_, receiver in sent]
    assert [2] == rig.working
    await rig.catalog.stop()


@in_virtual_time
async def test_who_waits_for_a_slot_when_the_model_is_unloaded(tmp_path: Path) -> None:
    """It was admitted, and gets the slot of one of which no step can come any more."""
    rig = SuccessionRig(tmp_path, slots=1)
    await rig.bring(1)
    await rig.ask(7, 2, start=True)
    first, _, waiting = rig.submit(8, 5, start=True)
    leaving = rig.catalog.unload("m", forget=False)
    await settled()
    assert [] == waiting.endings
    first.compute()
    await settled()
    assert [1005] == [answer.item() for answer in waiting.answers]
    assert all(task.done() for task in leaving)
    await rig.catalog.stop()
