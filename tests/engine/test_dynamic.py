"""The dynamic batcher: batches form by themselves, and every request ends exactly once, whatever happens."""

import asyncio
import errno
import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.queue_policy import QueuePolicy
from service.engine.exchange import Exchange
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.suspicion import KILLS
from service.engine.splitting import Parts
from service.errors import (
    BackendError,
    Cancelled,
    DeadlineExceeded,
    HoneError,
    Infeasible,
    InvalidRequest,
    NotReady,
    PoisonRequest,
    QueueFull,
    QueueTimeout,
    WorkerLost,
)
from service.messages import InferResponse
from tests.engine.doubles import ManualInstance, Recorder
from tests.engine.rig import Rig, ending, profile, turn
from tests.engine.virtual_time import in_virtual_time


async def test_requests_of_one_turn_share_a_batch() -> None:
    """What arrives in the same turn of the loop is computed together, and each gets its own rows."""
    rig = Rig()
    _, a = rig.submit(1)
    _, b = rig.submit(2, 3)
    await turn()
    rig.instances[0].answer()

    assert [3] == rig.instances[0].sizes
    np.testing.assert_array_equal(np.full((1, 3), 2), a.answers[0])
    np.testing.assert_array_equal([[4] * 3, [6] * 3], b.answers[0])


async def test_a_batch_grows_while_the_worker_is_busy() -> None:
    """An idle worker takes one at once; what comes meanwhile is the next batch, up to the limit in rows."""
    rig = Rig()
    rig.submit(1)
    await turn()
    for value in range(5):
        rig.submit(value)
    await turn()
    rig.instances[0].answer()
    await turn()
    rig.instances[0].answer()
    await turn()

    assert [1, 4, 1] == rig.instances[0].sizes


async def test_rows_are_counted_not_requests() -> None:
    """A request that doesn't fit any more waits for the next batch, and nobody overtakes it."""
    rig = Rig()
    for values in ((1, 2, 3), (4, 5), (6,)):
        rig.submit(*values)
    await turn()
    rig.instances[0].answer()
    await turn()

    assert [3, 3] == rig.instances[0].sizes


async def test_a_batch_is_padded_to_its_bucket_and_its_answers_are_cut() -> None:
    """Three rows are computed as four, the last one repeated from them; three are answered, and the padding counted."""
    rig = Rig(buckets=(1, 2, 4))
    _, a = rig.submit(1)
    _, b = rig.submit(2, 3)
    await turn()
    assert [1, 2, 3, 1] == [row[0] for array in rig.instances[0].groups[0] for row in array]

    rig.instances[0].answer()
    await turn()
    np.testing.assert_array_equal([[2] * 3], a.answers[0])
    np.testing.assert_array_equal([[4] * 3, [6] * 3], b.answers[0])
    assert 0.25 == rig.metrics.padding_ratio.total
    assert (3, 1) == (rig.metrics.inferences, rig.metrics.executions)


async def test_a_model_that_mates_disturb_is_not_padded() -> None:
    """Rows beside a request change its answer there, also if they are its own."""
    rig = Rig(buckets=(4,))
    rig.batcher.serve(rig.stations, join=False)
    rig.submit(1, 2)
    await turn()

    assert [1, 2] == [row[0] for array in rig.instances[0].groups[0] for row in array]


async def test_without_dynamic_batching_nothing_is_joined() -> None:
    """Every request is a batch of its own."""
    rig = Rig(join=False)
    rig.submit(1)
    rig.submit(2, 3)
    await turn()
    rig.instances[0].answer()
    await turn()

    assert [1, 2] == rig.instances[0].sizes


async def test_who_cannot_take_an_answer_keeps_it_from_nobody() -> None:
    """A receiver that fails is reported in the log; those behind it in the batch are answered."""
    rig = Rig()
    receivers = [rig.submit(value)[1] for value in range(3)]

    def fail(error: HoneError | None) -> None:
        raise RuntimeError(error)

    receivers[0].finish = fail  # type: ignore[method-assign]
    await turn()
    rig.instances[0].answer()

    assert [1, 1, 1] == [len(receiver.answers) for receiver in receivers]
    assert [[None], [None]] == [receiver.endings for receiver in receivers[1:]]
    assert not list(rig.batcher._unfinished())


@pytest.mark.parametrize("error", [InvalidRequest("FP16 can't be written"), RuntimeError("a fault of ours")])
async def test_an_answer_that_cannot_be_written_ends_its_request_with_that(error: Exception) -> None:
    """It isn't counted as answered, and its batch-mates are."""
    rig = Rig()
    receivers = [rig.submit(value)[1] for value in range(2)]

    def fail(response: InferResponse) -> None:
        raise error

    receivers[0].emit = fail  # type: ignore[method-assign]
    await turn()
    rig.instances[0].answer()

    (ended,) = receivers[0].endings
    assert ended is error or isinstance(ended, BackendError)
    assert [None] == receivers[1].endings


async def test_retries_that_have_ended_are_in_nobodys_way() -> None:
    """A worker dies with a batch, and its clients leave before it is tried again: whoever comes then has the worker."""
    rig = Rig(profile=profile())
    exchanges = [rig.submit(value, seconds=9)[0] for value in range(4)]
    await turn()
    rig.instances[0].die(blameless=True)
    for exchange in exchanges:
        exchange.cancel()
    rig.instances[0].revive()

    _, receiver = rig.submit(7, seconds=0.1)
    await turn()
    rig.instances[0].answer()
    assert [None] == receiver.endings


async def test_only_rows_of_one_shape_are_joined() -> None:
    """Where lengths vary, a batch holds one length; the others keep their order."""
    rig = Rig()
    for width in (3, 5, 3, 5):
        rig.submit(1, width=width)
    await turn()
    rig.instances[0].answer()
    await turn()
    rig.instances[0].answer()
    await turn()

    assert [2, 2] == rig.instances[0].sizes


@in_virtual_time
async def test_a_voluntary_delay_waits_for_company_but_not_longer() -> None:
    """With a queue delay a lone request waits that long; a full batch doesn't wait."""
    rig = Rig(delay=0.05)
    rig.submit(1)
    await turn()
    assert [] == rig.instances[0].sizes

    await asyncio.sleep(0.1)
    assert [1] == rig.instances[0].sizes

    rig.instances[0].answer()
    rig.submit(1, 2, 3, 4)
    await turn()
    assert [1, 4] == rig.instances[0].sizes


async def test_a_full_queue_refuses() -> None:
    """Beyond its bound the queue refuses at once, and takes requests again when it has emptied."""
    rig = Rig(most=2)
    rig.submit(1, 2, 3, 4)
    await turn()
    rig.submit(1)
    exchange, _ = rig.submit(2)

    with pytest.raises(QueueFull, match="2 requests are waiting"):
        rig.submit(3)
    exchange.cancel()
    rig.submit(3)
    assert 2 == rig.metrics.pending()


async def test_a_cancelled_request_is_not_computed() -> None:
    """Who leaves before the batch is closed takes no place in it."""
    rig = Rig()
    rig.submit(1)
    await turn()
    exchange, receiver = rig.submit(2)
    rig.submit(3)
    exchange.cancel()
    await turn()
    rig.instances[0].answer()
    await turn()

    assert [1, 1] == rig.instances[0].sizes
    assert isinstance(ending(receiver), Cancelled)


async def test_whoever_leaves_leaves_nothing_behind() -> None:
    """Tens of thousands that come and go while the worker is busy take no memory, nor places in the queue."""
    rig = Rig(most=10)
    rig.submit(1)
    await turn()

    async def come_and_go(times: int) -> int:
        for number in range(times):
            rig.submit(2)[0].cancel()
            if number % 100 == 0:
                await turn()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = await come_and_go(1000)
        after = await come_and_go(20000)
    finally:
        tracemalloc.stop()
    assert after - before < 20000, "a byte for each that left"
    assert 0 == rig.metrics.pending()


@pytest.mark.parametrize("max_rows", [0, 4])
async def test_who_left_while_it_was_computed_hears_nothing(max_rows: int) -> None:
    """With and without a batch axis: the answer of a cancelled request goes to nobody."""
    rig = Rig(max_rows=max_rows)
    exchange, receiver = rig.submit(1)
    await turn()
    exchange.cancel()
    rig.instances[0].answer()
    await turn()

    assert not receiver.answers
    assert isinstance(ending(receiver), Cancelled)


async def test_no_request_outlives_its_deadline() -> None:
    """Queued or being computed, it ends with DeadlineExceeded on time, and a late result hurts nobody."""
    rig = Rig()
    _, computing = rig.submit(1, seconds=0.05)
    await turn()
    _, queued = rig.submit(2, seconds=0.03)
    _, patient = rig.submit(3)
    began = time.monotonic()
    while not (queued.endings and computing.endings) and time.monotonic() - began < 5:
        await asyncio.sleep(0.005)

    assert isinstance(ending(queued), DeadlineExceeded)
    assert isinstance(ending(computing), DeadlineExceeded)
    rig.instances[0].answer()
    await turn()
    rig.instances[0].answer()
    assert [1, 1] == rig.instances[0].sizes
    assert [] == computing.answers
    assert ending(patient) is None


async def test_only_the_offender_of_a_refused_batch_fails() -> None:
    """A batch that the runtime refuses is halved until the offender is alone; the others are answered."""
    rig = Rig()
    receivers = [rig.submit(value)[1] for value in (1, 13, 3, 4)]
    for _ in range(20):
        await turn()
        instance = rig.instances[0]
        if instance.job is None:
            break
        if any(13 in array for array in instance.groups[0]):
            instance.refuse()
        else:
            instance.answer()

    assert [False, True, False, False] == [isinstance(ending(r), BackendError) for r in receivers]
    assert [1, 0, 1, 1] == [len(r.answers) for r in receivers]


async def test_a_crash_is_retried_one_by_one() -> None:
    """After a worker's death everybody is computed alone, so that nobody is condemned for a batch-mate."""
    rig = Rig(instances=1)
    receivers = [rig.submit(value)[1] for value in (1, 2, 3)]
    await turn()
    rig.instances[0].die()
    rig.instances[0].revive()
    for _ in receivers:
        await turn()
        rig.instances[0].answer()

    assert [3, 1, 1, 1] == rig.instances[0].sizes
    assert [None] * 3 == [ending(r) for r in receivers]


async def test_who_is_alone_at_a_second_crash_is_refused() -> None:
    """The request that ended two workers is condemned; it takes nobody else with it."""
    rig = Rig()
    _, poison = rig.submit(1)
    _, innocent = rig.submit(2)
    await turn()
    rig.instances[0].die()
    rig.instances[0].revive()
    await turn()
    rig.instances[0].die()
    rig.instances[0].revive()
    await turn()
    rig.instances[0].answer()

    assert isinstance(ending(poison), PoisonRequest)
    assert 1 == len(rig.condemned)
    assert ending(innocent) is None


async def test_only_a_condemned_request_excuses_its_worker() -> None:
    """Not one that somebody in a batch may have crashed, nor one that was killed: one whose cause was found."""
    rig = Rig()
    rig.submit(1)
    rig.submit(2)
    await turn()
    for blameless, excused in [(False, 0), (True, 0), (False, 1)]:
        rig.instances[0].die(blameless=blameless)
        assert excused == rig.instances[0].excused
        rig.instances[0].revive()
        await turn()

    assert 1 == len(rig.condemned)


async def test_kills_from_outside_are_no_evidence() -> None:
    """An operator's or the kernel's SIGKILL is retried, again and again; at last it is given up, and not condemned."""
    rig = Rig()
    _, receiver = rig.submit(1)
    for _ in range(KILLS - 1):
        await turn()
        rig.instances[0].die(blameless=True)
        assert [] == receiver.endings
        rig.instances[0].revive()
    await turn()
    rig.instances[0].die(blameless=True)

    assert isinstance(ending(receiver), WorkerLost)
    assert [] == rig.condemned


async def test_a_model_whose_workers_never_come_up_says_so() -> None:
    """After repeated failures to start, what waits is failed and what comes is refused."""
    rig = Rig()
    rig.instances[0].die()
    _, receiver = rig.submit(1)
    rig.instances[0].failures = 3
    rig.instances[0].die()

    assert isinstance(ending(receiver), WorkerLost)
    with pytest.raises(NotReady):
        rig.submit(2)


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "Too many open files"), MemoryError("Unable to allocate")])
async def test_a_batch_that_finds_no_memory_is_refused_and_costs_nothing(error: OSError | MemoryError) -> None:
    """Who is in it is told why; the device's tokens come back, and the next is computed."""
    rig = Rig(tokens=1, profile=LatencyProfile(PROFILE))
    rig.instances[0].lacks = error
    _, first = rig.submit(1)
    await turn()
    _, second = rig.submit(2)
    await turn()
    rig.instances[0].answer()

    assert f"no memory for a batch of 1 rows: {error}" == str(ending(first))
    assert isinstance(ending(first), BackendError)
    assert ending(second) is None
    assert (0, 1) == (len(rig.batcher._running), rig.device._free)


async def test_a_batch_that_cannot_be_padded_for_lack_of_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gathering takes memory too."""

    def fail(*args: object) -> None:
        raise MemoryError

    rig = Rig(buckets=(4,))
    monkeypatch.setattr("service.engine.scheduling.batch.np.resize", fail)
    _, receiver = rig.submit(1)
    await turn()

    assert isinstance(ending(receiver), BackendError)
    assert (0, rig.device.tokens) == (len(rig.batcher._running), rig.device._free)


async def test_a_wrong_number_of_rows_is_blamed_on_who_causes_it() -> None:
    """Some models answer fewer rows for some inputs: an error for those requests, and right answers for their mates."""
    rig = Rig()
    receivers = [rig.submit(value)[1] for value in (1, -2, 3)]
    for _ in range(6):
        await turn()
        if rig.instances[0].job:
            rig.instances[0].answer(lambda x: x[x[:, 0] > 0])

    assert [False, True, False] == [isinstance(ending(r), BackendError) for r in receivers]
    np.testing.assert_array_equal([[3] * 3], receivers[2].answers[0])


async def test_a_flooded_model_does_not_starve_a_quiet_one() -> None:
    """When two models compete for one token, they take turns, however much waits for one of them."""
    flooded = Rig()
    quiet = Rig(device=flooded.device)
    flooded.device.tokens = flooded.device._free = 1
    for _ in range(40):
        flooded.submit(1)
    await turn()
    quiet.submit(2)
    await turn()
    assert [] == quiet.instances[0].sizes

    flooded.instances[0].answer()
    await turn()
    assert [1] == quiet.instances[0].sizes

    quiet.instances[0].answer()
    await turn()
    assert [4, 4] == flooded.instances[0].sizes


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("submit"), st.integers(1, 4)),
        st.tuples(st.just("urgent"), st.integers(1, 4)),
        st.tuples(st.just("large"), st.integers(5, 14)),
        st.tuples(st.just("large_urgent"), st.integers(5, 14)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("turn"), st.just(0)),
        *[st.tuples(st.just("wait"), st.just(0))] * 2,
        st.tuples(st.just("ahead"), st.just(0)),
        *[
            st.tuples(st.just(name), st.integers(0, 1))
            for name in ("answer", "answer", "answer", "refuse", "crash", "kill", "revive", "starve")
        ],
    ),
    max_size=60,
)
PROFILE = tuple(BucketTime(rows=rows, median=0.001 * rows, p95=0.001 * rows) for rows in (1, 2, 4))
DELAYED = QueuePolicy(default_timeout_microseconds=3000, timeout_action="delay")
REJECTED = QueuePolicy(default_timeout_microseconds=4000)
POLICIES = ((QueuePolicy(),), (DELAYED,), (REJECTED,), (DELAYED, REJECTED), (DELAYED, DELAYED, QueuePolicy()))
WAITS = ((0.0, ()), (0.0, (2, 3)), (0.004, ()), (0.004, (2,)), (0.004, (2, 3)))
"""Queue delays in seconds, with preferred sizes."""
BOUNDS = ((1000, 10**6), (3, 10**6), (1000, 400))
"""Requests and bytes that may wait; the largest request has 168 bytes."""


@given(
    EVENTS,
    st.integers(1, 2),
    st.integers(1, 2),
    st.booleans(),
    st.sampled_from(POLICIES),
    st.sampled_from(WAITS),
    st.sampled_from(BOUNDS),
)
def test_every_request_ends_exactly_once(
    events: list[tuple[str, int]],
    instances: int,
    tokens: int,
    foreseeing: bool,
    levels: Sequence[QueuePolicy],
    wait: tuple[float, Sequence[int]],
    bounds: tuple[int, int],
) -> None:
    """Under any mix of arrivals, deadlines, priority levels, queue timeouts, full queues, voluntary waits,
    cancellations, refusals, deaths, rebirths and lack of memory: each admitted request ends once, with its own rows if
    it is answered; who is refused, whole or halfway, hears of it by that alone; no batch exceeds the limit; all tokens
    come back.
    """
    profile = LatencyProfile(PROFILE) if foreseeing else None
    delay, preferred = wait
    most, room = bounds

    def made() -> Rig:
        return Rig(
            instances=instances,
            tokens=tokens,
            profile=profile,
            levels=levels,
            delay=delay,
            preferred=preferred,
            most=most,
            room=room,
        )

    asyncio.run(play(events, made))


async def play(events: list[tuple[str, int]], made: Callable[[], Rig]) -> None:
    rig = made()
    admitted: list[tuple[Exchange, Recorder, list[float]]] = []
    refused: list[Recorder] = []
    for number, (event, argument) in enumerate(events):
        if event in ("submit", "urgent", "large", "large_urgent"):
            values = [number + row / 100 for row in range(argument)]
            seconds = {"urgent": 0.004, "large_urgent": 0.007}.get(event, 60.0)
            exchange, receiver = rig.exchange(*values, seconds=seconds, level=number % len(rig.levels))
            try:
                submit(rig, exchange)
            except QueueFull:
                assert rig.metrics.pending()
                refused.append(receiver)
            except (Infeasible, NotReady):
                refused.append(receiver)
            else:
                admitted.append((exchange, receiver, values))
        elif event == "cancel" and argument < len(admitted):
            admitted[argument][0].cancel()
        elif event == "wait":
            await asyncio.sleep(0.005)
        elif event == "ahead":
            send_ahead(rig)
        else:
            act(rig.instances[argument % len(rig.instances)], event)
        await turn()
    await settle(rig)

    assert len(admitted) == rig.owner.ended_count
    assert not any(receiver.endings for receiver in refused)
    assert (0, 0) == (rig.metrics.pending(), len(rig.batcher._running))
    assert all(device.tokens == device._free for device in rig.devices)
    assert all(size <= 4 for instance in rig.instances for size in instance.sizes)
    for exchange, receiver, values in admitted:
        error = ending(receiver)
        assert not (isinstance(error, QueueTimeout) and exchange.again), "a worker had taken it"
        assert (error is None) == bool(receiver.answers)
        if error is None:
            expected = np.repeat(np.array(values, np.float32)[:, None], 3, axis=1) * 2
            np.testing.assert_array_equal(expected, receiver.answers[0])


def submit(rig: Rig, exchange: Exchange) -> None:
    """Whole, or in parts where it has more rows than a batch."""
    if exchange.rows > 4:
        exchange.started = exchange.admitted
        Parts(exchange, rig.batcher).submit(4)
    else:
        rig.batcher.submit(exchange)


def send_ahead(rig: Rig) -> None:
    """As the timer does that is set for a batch which takes long enough."""
    if len(rig.stations) == len(rig.instances) == 1:
        for batch, station in list(rig.batcher._running.items()):
            rig.batcher._send_ahead(station, station.instances[0], batch)


def act(instance: ManualInstance, event: str) -> None:
    if event == "answer" and instance.job:
        instance.answer()
    elif event == "refuse" and instance.job:
        instance.refuse()
    elif event in ("crash", "kill") and instance.ready:
        instance.die(blameless=event == "kill")
    elif event == "starve":
        instance.lacks = MemoryError()
    elif event == "revive" and not instance.ready:
        instance.revive()


async def settle(rig: Rig) -> None:
    """Revive everybody and answer until nothing is left."""
    for instance in rig.instances:
        act(instance, "revive")
    for _ in range(200):
        await turn()
        busy = [instance for instance in rig.instances if instance.job]
        if not busy and not rig.metrics.pending():
            return
        if not busy:
            await asyncio.sleep(0.001)
        for instance in busy:
            instance.answer()
    pytest.fail("the batcher never came to rest")
