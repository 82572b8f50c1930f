"""A request with more rows than a batch: computed in parts, answered once."""

import numpy as np
import pytest

from service.artifact.queue_policy import QueuePolicy
from service.engine.exchange import Exchange
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.splitting import Parts
from service.errors import BackendError, Cancelled, DeadlineExceeded, HoneError, Infeasible, QueueFull
from tests.engine.doubles import Recorder
from tests.engine.rig import Rig, ending, profile, turn


def split(rig: Rig, rows: int) -> tuple[Exchange, Recorder, Parts]:
    """An exchange of so many rows, numbered, that is submitted in parts of four."""
    whole, receiver, parts = unsubmitted(rig, rows)
    parts.submit(4)
    return whole, receiver, parts


def unsubmitted(rig: Rig, rows: int, seconds: float = 60) -> tuple[Exchange, Recorder, Parts]:
    """The same before it is submitted."""
    whole, receiver = rig.exchange(*range(rows), seconds=seconds)
    whole.started = whole.admitted
    return whole, receiver, Parts(whole, rig.batcher)


async def test_the_parts_are_put_together_in_order() -> None:
    """Ten rows in batches of four come back as ten rows, and as one answer."""
    rig = Rig()
    _, receiver, _ = split(rig, 10)
    for _ in range(3):
        await turn()
        rig.instances[0].answer()

    assert [4, 4, 2] == rig.instances[0].sizes
    assert ending(receiver) is None
    np.testing.assert_array_equal(np.arange(10) * 2, receiver.answers[0][:, 0])


async def test_one_refused_part_fails_the_whole_and_spares_the_rest() -> None:
    """The client hears of the error once, and what wasn't computed yet isn't computed any more."""
    rig = Rig(join=False)
    _, receiver, _ = split(rig, 10)
    await turn()
    rig.instances[0].refuse()
    await turn()

    assert isinstance(ending(receiver), BackendError)
    assert 1 == len(rig.instances[0].sizes) or rig.instances[0].job is None
    assert 0 == rig.metrics.pending()


async def test_a_part_that_is_dropped_takes_a_smaller_one_along() -> None:
    """Four rows can't be finished in time any more, the last two could: nothing of them is computed, and all leave."""
    known = profile(0.001)
    rig = Rig(profile=known)
    whole, receiver, parts = unsubmitted(rig, 10, seconds=0.1)
    parts.submit(4)
    for _ in range(30):
        known.observe(1, 0.03)
    await turn()

    assert isinstance(ending(receiver), DeadlineExceeded)
    assert whole.ended
    assert ([], 0) == (rig.instances[0].sizes, rig.metrics.pending())


async def test_who_leaves_takes_the_parts_along() -> None:
    """When the client goes away, parts that wait are dropped."""
    rig = Rig()
    whole, receiver, parts = split(rig, 12)
    await turn()
    whole.cancel()
    parts.abandon()
    rig.instances[0].answer()
    await turn()

    assert isinstance(ending(receiver), Cancelled)
    assert [4] == rig.instances[0].sizes
    assert 0 == rig.metrics.pending()


@pytest.mark.parametrize(
    "room, seconds, refusal, text",
    [
        (100, 60, QueueFull, "96 bytes are waiting; 48 more exceed"),
        (1000, 0.8, Infeasible, "8 rows are to be computed before"),
    ],
)
async def test_all_or_nothing_is_admitted(room: int, seconds: float, refusal: type[HoneError], text: str) -> None:
    """Where the third part is refused the parts before it leave the queue, and who asked hears of the refusal alone."""
    times = [BucketTime(rows=rows, median=0.05 * rows, p95=0.05 * rows) for rows in (1, 2, 4)]
    rig = Rig(room=room, profile=LatencyProfile(times))
    rig.submit(1, 2, 3, 4)
    await turn()
    whole, receiver, parts = unsubmitted(rig, 12, seconds)

    with pytest.raises(refusal, match=text):
        parts.submit(4)
    await turn()
    assert ([], False, 0) == (receiver.endings, whole.ended, rig.owner.ended_count)
    assert 0 == rig.metrics.pending()
    rig.instances[0].answer()
    await turn()
    assert [4] == rig.instances[0].sizes


@pytest.mark.parametrize("levels", [1, 2])
async def test_a_queue_counts_a_request_once_however_many_parts_it_has(levels: int) -> None:
    """A place in the queue is enough for twelve rows; they give it back when the last of them has left it."""
    rig = Rig(levels=[QueuePolicy(max_queue_size=2)] * levels)
    rig.submit(1, 2, 3, 4)
    await turn()
    split(rig, 12)
    whole, _, parts = split(rig, 12)
    for refused in (1, 12):
        with pytest.raises(QueueFull, match="2 requests are waiting, the limit of this model's queue is 2"):
            split(rig, refused)

    whole.cancel()
    parts.abandon()
    rig.submit(5)
    for left in (2, 1):
        rig.instances[0].answer()
        await turn()
        assert 1 + left == rig.metrics.pending()
        with pytest.raises(QueueFull):
            rig.submit(6)
    rig.instances[0].answer()
    await turn()
    split(rig, 12)


async def test_parts_that_do_not_fit_together_hurt_nobody_else() -> None:
    """Where the width of an answer depends on its batch the whole is refused, and who shared the batch is answered."""
    rig = Rig()
    _, receiver, _ = split(rig, 6)
    _, mate = rig.submit(7, 8)
    for _ in range(2):
        await turn()
        rig.instances[0].answer(lambda x: x[:, : 1 + int(x[0, 0] == 0)])

    assert [4, 4] == rig.instances[0].sizes
    assert isinstance(ending(receiver), BackendError)
    assert ending(mate) is None
    assert 0 == rig.metrics.pending()
