"""Admission: what can't be finished in time is refused at once, and what waits too long leaves as its policy says."""

import asyncio
from math import inf

import pytest

from service.artifact.config import parse_config
from service.artifact.queue_policy import QueuePolicy
from service.engine.admission import Admission
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.foresight import Foresight
from service.errors import DeadlineExceeded, Infeasible, QueueFull, QueueTimeout
from service.metrics import ModelMetrics
from tests.engine.rig import Rig, ending, profile, turn


async def test_what_cannot_be_finished_in_time_is_refused_at_once() -> None:
    """Half a second is enough for nine rows; the tenth hears when it would be finished, and what is ahead of it."""
    rig = Rig(profile=profile())
    for _ in range(9):
        rig.submit(1, seconds=0.5)

    with pytest.raises(Infeasible, match=r"finished in 500\.0 ms, and 500\.0 ms are left; 9 rows are"):
        rig.submit(1, seconds=0.5)
    rig.submit(1, seconds=2)
    assert 10 == rig.metrics.pending()


async def test_an_urgent_request_counts_only_what_goes_before_it() -> None:
    """Requests with later deadlines don't delay it, so that it is admitted and computed first."""
    rig = Rig(profile=profile())
    rig.submit(0)
    await turn()
    for _ in range(20):
        rig.submit(1, seconds=60)
    _, urgent = rig.submit(7, seconds=0.4)
    rig.instances[0].answer()
    await turn()
    rig.instances[0].answer()

    assert 14 == urgent.answers[0][0, 0]


async def test_a_refusal_says_when_to_come_again() -> None:
    """After as many seconds as its time is too short by, or as what waits will take; one where that is less."""
    rig = Rig(profile=profile(0.5), most=9)
    for _ in range(9):
        rig.submit(1, seconds=5)

    with pytest.raises(Infeasible) as late:
        rig.submit(1, 2, 3, 4, seconds=5)
    with pytest.raises(QueueFull, match=r"the limit of this model's queue is 9; .* finished in 5000\.0 ms") as full:
        rig.submit(1)
    rig.batcher.precheck(5.4, 1.0)
    with pytest.raises(Infeasible) as soon:
        rig.batcher.precheck(5.0, 1.0)
    assert (2, 5, 1) == tuple(caught.value.retry_after for caught in (late, full, soon))


async def test_a_request_alone_is_refused_if_even_so_it_would_be_late() -> None:
    """An idle model doesn't start what it can't finish."""
    rig = Rig(profile=profile())

    with pytest.raises(Infeasible, match="0 rows are to be computed before"):
        rig.submit(1, seconds=0.04)


async def test_what_is_in_flight_is_no_time_to_spare() -> None:
    """Sixteen times what one row takes are no comfort behind a batch of sixteen."""
    rows = LatencyProfile([BucketTime(rows=rows, median=0.01 * rows, p95=1.0) for rows in (1, 16)])
    rig = Rig(profile=rows, max_rows=16)
    rig.submit(*range(16))
    await turn()

    with pytest.raises(Infeasible, match="0 rows are to be computed before"):
        rig.submit(1, seconds=0.17)


async def test_the_door_may_refuse_by_headers() -> None:
    """What would surely be late is refused whatever its body says."""
    rig = Rig(profile=profile())
    for _ in range(9):
        rig.submit(1, seconds=0.5)

    with pytest.raises(Infeasible):
        rig.batcher.precheck(0.5, 1.0)
    rig.batcher.precheck(5.0, 1.0)


@pytest.mark.parametrize("level", [0, 1])
async def test_the_door_takes_the_best_for_granted(level: int) -> None:
    """What only a body says, its level and its length, is taken to be such that the request is finished soonest."""
    rig = Rig(profile=profile(), levels=[QueuePolicy(), QueuePolicy()])
    for _ in range(9):
        rig.submit(1, seconds=0.5, level=level)

    if level:
        rig.batcher.precheck(0.5, 1.0)
    else:
        with pytest.raises(Infeasible):
            rig.batcher.precheck(0.5, 1.0)
        rig.batcher.precheck(0.5, 0.1)


@pytest.mark.parametrize(
    "own, header, most", [("", None, inf), ("", 0.5, 0.5), ("200", None, 0.2), ("200", 0.5, 0.2), ("200", 0.1, 0.1)]
)
async def test_the_door_refuses_by_what_headers_and_model_say(own: str, header: float | None, most: float) -> None:
    """Where neither bounds the time, a body may grant more than the server's default: only it can tell."""
    said = f'parameters {{ key: "hone.deadline_ms" value {{ string_value: "{own}" }} }}' if own else ""
    config = parse_config("max_batch_size: 4 " + said, name="m")
    admission = Admission(config, ModelMetrics(), default_deadline=0.25)

    assert most == admission.longest(header)


async def test_a_slow_machine_is_learnt_from() -> None:
    """When batches take longer than measured, who waits and can't make it any more is dropped, not computed."""
    known = profile(0.001)
    rig = Rig(profile=known)
    _, tight = rig.submit(1, seconds=0.1)
    for _ in range(30):
        known.observe(1, 0.2)
    await turn()

    assert [] == rig.instances[0].sizes
    assert isinstance(ending(tight), DeadlineExceeded)
    assert "dropped" in str(ending(tight))


async def test_what_is_not_joined_is_foreseen_one_by_one() -> None:
    """Where a batch of four takes as long as a lone row, but requests share none, each ahead costs a batch."""
    alike = LatencyProfile([BucketTime(rows=rows, median=0.05, p95=0.05) for rows in (1, 2, 4)])
    rig = Rig(profile=alike, join=False)
    for _ in range(9):
        rig.submit(1, seconds=0.5)

    with pytest.raises(Infeasible, match=r"finished in 500\.0 ms, and 500\.0 ms are left; 9 rows are"):
        rig.submit(1, seconds=0.5)
    assert 9 * 0.05 == pytest.approx(rig.stations[0].backlog)


async def test_short_inputs_are_foreseen_as_short() -> None:
    """Where a row of the longest takes 50 ms, one that weighs a fifth can be finished in 20 ms."""
    rig = Rig(profile=profile())
    for weight in (1.0, 0.2):
        exchange, _ = rig.exchange(1, seconds=0.02)
        exchange.weight = weight
        if weight == 1.0:
            with pytest.raises(Infeasible, match=r"finished in 50\.0 ms"):
                rig.batcher.submit(exchange)
        else:
            rig.batcher.submit(exchange)
    await turn()

    assert [1] == rig.instances[0].sizes


async def test_what_waits_is_foreseen_by_what_was_computed_lately() -> None:
    """At first as if it were of the longest; once short inputs were computed, as short."""
    rig = Rig(profile=profile())
    assert 0.0 == rig.stations[0].backlog
    backlogs = []
    for _ in range(60):
        exchange, _ = rig.exchange(1)
        exchange.weight = 0.2
        rig.batcher.submit(exchange)
        backlogs.append(rig.stations[0].backlog)
        await turn()
        rig.instances[0].answer()
        await turn()

    assert 0.05 == pytest.approx(backlogs[0])
    assert 0.01 == pytest.approx(backlogs[-1], rel=0.1)


async def test_lengths_do_not_pass_for_a_faster_machine() -> None:
    """That short batches take less than the longest is what their weight says; predictions for the longest stay."""
    foresight = Foresight(profile(), instances=1, joins=True, delay=lambda _: 0.0)
    rig = Rig()
    for _ in range(200):
        exchange, _ = rig.exchange(1)
        exchange.weight = 0.2
        batch = Batch([exchange])
        foresight.started(batch, 0.0)
        foresight.ended(batch, 0.01)

    assert 0.05 == pytest.approx(foresight.profile.seconds(1))


async def test_another_models_backlog_counts_as_far_as_turns_are_fair() -> None:
    """Beside a flooded model a request takes twice its own time, not the other's whole queue."""
    flooded = Rig(profile=profile(), tokens=1)
    quiet = Rig(profile=profile(), device=flooded.device)
    for _ in range(20):
        flooded.submit(1, seconds=60)
    await turn()

    quiet.submit(1, seconds=0.25)
    with pytest.raises(Infeasible):
        quiet.submit(1, seconds=0.09)


async def test_queue_timeouts_reject() -> None:
    """A request that no worker took within the queue's timeout is refused, though its deadline is far."""
    rig = Rig(levels=[QueuePolicy(default_timeout_microseconds=30_000)])
    _, computing = rig.submit(1)
    await turn()
    _, waiting = rig.submit(2)
    await asyncio.sleep(0.06)

    assert isinstance(ending(waiting), QueueTimeout)
    assert [] == computing.endings


async def test_what_was_taken_in_time_is_retried_within_its_deadline() -> None:
    """A queue timeout is for those that no worker takes: whose worker has died waits for the next one."""
    rig = Rig(levels=[QueuePolicy(default_timeout_microseconds=20_000)])
    _, taken = rig.submit(1)
    await turn()
    rig.instances[0].die()
    _, waiting = rig.submit(2)
    await asyncio.sleep(0.05)
    rig.instances[0].revive()
    await turn()
    rig.instances[0].answer()

    assert isinstance(ending(waiting), QueueTimeout)
    assert ending(taken) is None


async def test_a_half_of_a_refused_batch_is_retried_within_its_deadline() -> None:
    """The second half waits for the first, however long that takes."""
    rig = Rig(levels=[QueuePolicy(default_timeout_microseconds=20_000)])
    receivers = [rig.submit(value)[1] for value in (1, 2)]
    await turn()
    rig.instances[0].refuse()
    await turn()
    rig.submit(3)
    await asyncio.sleep(0.05)
    for _ in receivers:
        rig.instances[0].answer()
        await turn()

    assert [None, None] == [ending(receiver) for receiver in receivers]


async def test_queue_timeouts_delay() -> None:
    """With the action DELAY it is computed all the same, after those that are in time."""
    rig = Rig(join=False, levels=[QueuePolicy(default_timeout_microseconds=20_000, timeout_action="delay")])
    rig.submit(0)
    await turn()
    _, delayed = rig.submit(1)
    await asyncio.sleep(0.05)
    _, fresh = rig.submit(2)
    rig.instances[0].answer()
    await turn()
    rig.instances[0].answer()
    await turn()

    assert (1, 0) == (len(fresh.answers), len(delayed.answers))
    rig.instances[0].answer()
    assert ending(delayed) is None


@pytest.mark.parametrize("override, asked, times_out", [(True, 0.02, True), (False, 0.02, False), (True, 9.0, False)])
async def test_a_request_may_shorten_its_queue_timeout_where_allowed(
    override: bool, asked: float, times_out: bool
) -> None:
    """Only with allow_timeout_override, and never beyond the default."""
    policy = QueuePolicy(default_timeout_microseconds=300_000, allow_timeout_override=override)
    rig = Rig(levels=[policy])
    rig.submit(1)
    await turn()
    _, waiting = rig.submit(2, asks=asked)
    await asyncio.sleep(0.06)

    assert times_out == bool(waiting.endings)


async def test_levels_go_before_deadlines_and_age() -> None:
    """The first level is computed first, whatever the deadlines; who has waited seconds isn't passed over for ever."""
    rig = Rig(join=False, levels=[QueuePolicy(), QueuePolicy()])
    rig.submit(0)
    await turn()
    old, aged = rig.submit(1, level=1)
    old.admitted -= 1.5
    _, low = rig.submit(2, level=1, seconds=1)
    _, high = rig.submit(3, level=0, seconds=50)
    order: list[str] = []
    for _ in range(4):
        rig.instances[0].answer()
        await turn()
        named = (("aged", aged), ("low", low), ("high", high))
        order += [name for name, one in named if one.answers and name not in order]

    assert "low" == order[-1]
    assert {"high", "aged"} == set(order[:2])


async def test_each_level_has_a_bound_of_its_own() -> None:
    """A full level refuses; the others still take requests."""
    rig = Rig(levels=[QueuePolicy(), QueuePolicy(max_queue_size=1)])
    rig.submit(0, 0, 0, 0)
    await turn()
    rig.submit(1, level=1)

    with pytest.raises(QueueFull, match="the limit of this model's queue is 1"):
        rig.submit(2, level=1)
    rig.submit(3, level=0)
