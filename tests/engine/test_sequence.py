"""Sequences of requests: what their steps are computed from, in which order, and what is kept when one fails."""

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from numpy.typing import NDArray

from service.artifact.config import parse_config
from service.engine.device import Device
from service.engine.exchange import Exchange
from service.engine.scheduling.dynamic import DynamicBatcher
from service.engine.scheduling.policy import BatchingPolicy
from service.engine.scheduling.sequence import SequenceScheduler
from service.engine.scheduling.station import Station
from service.errors import BackendError, Cancelled, DeadlineExceeded, HoneError, InvalidRequest, QueueFull
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics
from tests.engine.doubles import NO_TIME, ManualInstance, Owner, Recorder
from tests.engine.rig import ending, turn
from tests.engine.virtual_time import in_virtual_time

CONFIG = """
max_batch_size: 4
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
sequence_batching {
  max_sequence_idle_microseconds: %d
  oldest { max_candidate_sequences: %d }
  control_input [
    { name: "start" control [ { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } ] },
    { name: "end" control [ { kind: CONTROL_SEQUENCE_END int32_false_true: [ 0, 1 ] } ] },
    { name: "id" control [ { kind: CONTROL_SEQUENCE_CORRID data_type: %s } ] }
  ]
  state [ { input_name: "sum" output_name: "new_sum" data_type: TYPE_FP32 dims: [ 1 ] } ]
}
"""
LONG = 10**9


class SequenceRig:
    """A scheduler over a manual instance whose model adds `x` to the sum of its sequence, and answers the sum."""

    def __init__(self, *, idle: int = LONG, slots: int = 100, datatype: str = "TYPE_UINT64", most: int = 1000) -> None:
        self.metrics = ModelMetrics()
        self.owner = Owner()
        self.condemned: list[Exchange] = []
        self.vetted: list[Exchange] = []
        policy = BatchingPolicy(
            max_rows=4, join=True, delay=0, max_queued_requests=most, max_queued_bytes=10**6, shapes_vary=False
        )
        self.batcher = DynamicBatcher(policy, self.metrics, respond, self.condemned.append)
        config = parse_config(CONFIG % (idle, slots, datatype), name="m")
        self.config = config
        self.scheduler = SequenceScheduler(config, self.batcher, self.metrics, policy, self.vetted.append)
        self.owner.scheduler = cast("DynamicBatcher", self.scheduler)
        self.instance = ManualInstance(self.batcher)
        self.scheduler.serve([Station(Device(8), [self.instance], name="d", tokens=1)])  # type: ignore[list-item]

    def submit(
        self, name: int | str, x: float, *, start: bool = False, end: bool = False, seconds: float = 60
    ) -> tuple[Exchange, Recorder]:
        receiver = Recorder()
        array = np.array([[x]], np.float32)
        asked = InferRequest(
            model="m",
            version=None,
            inputs=(Tensor(name="x", datatype="FP32", array=array),),
            parameters={"sequence_id": name, "sequence_start": start, "sequence_end": end},
        )
        now = time.monotonic()
        exchange = Exchange(
            request=asked,
            receiver=receiver,
            owner=self.owner,
            inputs=[array],
            outputs=list(enumerate(self.config.outputs)),
            rows=1,
            nbytes=4,
            admitted=now,
            deadline=now + seconds,
        )
        self.scheduler.submit(exchange)
        return exchange, receiver

    @property
    def seen(self) -> list[tuple[Any, ...]]:
        """x, start, end, id and sum of each row of the batch that is being computed."""
        return [tuple(np.ravel(one)[0] for one in row) for row in zip(*self.instance.groups, strict=True)]

    async def answer(self) -> list[tuple[Any, ...]]:
        """Compute the batch; what it was made of."""
        await turn()
        seen = self.seen
        job = self.instance.job
        assert job
        sums = np.array([[row[0] + row[4]] for row in seen], np.float32)
        self.batcher.job_done(self.instance, job, [sums, sums], NO_TIME)  # type: ignore[arg-type]
        self.instance.ended()
        await turn()
        return seen


def respond(exchange: Exchange, arrays: Sequence[NDArray[Any]]) -> None:
    """As a served model does."""
    outputs = [Tensor(name=spec.name, datatype=spec.datatype, array=arrays[place]) for place, spec in exchange.outputs]
    exchange.emit(InferResponse(model="m", version="1", outputs=tuple(outputs)))


@pytest.fixture
async def rig() -> AsyncIterator[SequenceRig]:
    made = SequenceRig()
    yield made
    await made.scheduler.stop()


async def test_a_step_goes_on_from_the_one_before(rig: SequenceRig) -> None:
    """Controls say which it is; the first begins with zeros; a client sees its outputs, not the states."""
    _, first = rig.submit(7, 1, start=True)
    assert [(1, 1, 0, 7, 0)] == await rig.answer()
    _, second = rig.submit(7, 2)
    assert [(2, 0, 0, 7, 1)] == await rig.answer()
    _, last = rig.submit(7, 4, end=True)
    assert [(4, 0, 1, 7, 3)] == await rig.answer()

    assert [1, 3, 7] == [receiver.answers[0].item() for receiver in (first, second, last)]
    assert [None] * 3 == [ending(receiver) for receiver in (first, second, last)]
    with pytest.raises(InvalidRequest, match="must specify the START flag on the first request of the sequence"):
        rig.submit(7, 1)
    assert 0 == rig.metrics.sequences()


async def test_steps_that_come_early_wait_for_those_before(rig: SequenceRig) -> None:
    """One step of a sequence at a time, in the order in which they came."""
    receivers = [rig.submit(7, x, start=x == 1)[1] for x in (1, 2, 3)]
    for x, total in ((1, 0), (2, 1), (3, 3)):
        assert [(x, float(x == 1), 0, 7, total)] == await rig.answer()

    assert [1, 3, 6] == [receiver.answers[0].item() for receiver in receivers]


async def test_steps_of_several_sequences_share_a_batch(rig: SequenceRig) -> None:
    """Each with its own state."""
    for name in (7, 8, 9):
        rig.submit(name, name, start=True)
    assert [7, 8, 9] == [row[3] for row in await rig.answer()]
    for name in (9, 7):
        rig.submit(name, 1)

    assert [(1, 0, 0, 9, 9), (1, 0, 0, 7, 7)] == await rig.answer()


async def test_a_step_that_fails_changes_nothing(rig: SequenceRig) -> None:
    """It can be sent again; but whoever was sent behind it counted on it, and isn't computed without it."""
    rig.submit(7, 1, start=True)
    await rig.answer()
    (_, failed), (_, behind) = rig.submit(7, 2), rig.submit(7, 3)
    await turn()
    rig.instance.refuse()
    await turn()

    assert isinstance(ending(failed), BackendError)
    assert isinstance(ending(behind), InvalidRequest)
    assert "a step before it in sequence 7 has failed" in str(ending(behind))
    rig.submit(7, 2)
    assert [(2, 0, 0, 7, 1)] == await rig.answer()


async def test_a_first_step_that_fails_begins_nothing(rig: SequenceRig) -> None:
    """The next has to begin the sequence, and its slot is free."""
    rig.submit(7, 1, start=True)
    await turn()
    rig.instance.refuse()
    await turn()

    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 1)
    assert 0 == rig.metrics.sequences()


async def test_a_last_step_that_fails_can_be_sent_again(rig: SequenceRig) -> None:
    """The sequence is still there."""
    rig.submit(7, 1, start=True)
    await rig.answer()
    rig.submit(7, 2, end=True)
    await turn()
    rig.instance.refuse()
    await turn()
    rig.submit(7, 2, end=True)

    assert [(2, 0, 1, 7, 1)] == await rig.answer()
    assert 0 == rig.metrics.sequences()


async def test_a_start_begins_anew(rig: SequenceRig) -> None:
    """Though the sequence before it wasn't ended; what waits behind a failed step goes on from a start."""
    rig.submit(7, 1, start=True)
    await rig.answer()
    _, failed = rig.submit(7, 2)
    _, anew = rig.submit(7, 5, start=True)
    await turn()
    rig.instance.refuse()

    assert [(5, 1, 0, 7, 0)] == await rig.answer()
    assert isinstance(ending(failed), BackendError)
    assert ending(anew) is None


async def test_a_name_is_free_as_soon_as_its_sequence_is_about_to_end(rig: SequenceRig) -> None:
    """The next of that name is another sequence, beside it."""
    rig.submit(7, 1, start=True)
    await rig.answer()
    rig.submit(7, 2, end=True)
    rig.submit(7, 5, start=True)

    assert [(2, 0, 1, 7, 1), (5, 1, 0, 7, 0)] == await rig.answer()
    assert 1 == rig.metrics.sequences()


async def test_a_step_of_a_client_that_left_is_not_computed(rig: SequenceRig) -> None:
    """It leaves the queue, and the states are as they were, even where it was being computed."""
    rig.submit(8, 0, start=True)
    await turn()  # the instance is busy
    exchange, _ = rig.submit(7, 1, start=True)
    exchange.cancel()
    await rig.answer()
    assert rig.instance.job is None

    rig.submit(7, 1, start=True)
    await rig.answer()
    exchange, _ = rig.submit(7, 2)
    await turn()
    exchange.cancel()
    rig.submit(7, 3)
    await rig.answer()
    assert [(3, 0, 0, 7, 1)] == await rig.answer()


async def test_a_worker_that_dies_takes_no_state_with_it(rig: SequenceRig) -> None:
    """The step is computed again, from the same states."""
    rig.submit(7, 1, start=True)
    await rig.answer()
    _, receiver = rig.submit(7, 2)
    await turn()
    rig.instance.die()
    rig.instance.revive()

    assert [(2, 0, 0, 7, 1)] == await rig.answer()
    assert ending(receiver) is None


async def test_who_waits_longest_is_known() -> None:
    """Whether it waits for a worker, for the step before it, or for a slot."""
    rig = SequenceRig(slots=1)
    assert math.inf == rig.metrics.waiting_since()
    first, _ = rig.submit(7, 1, start=True)
    second, _ = rig.submit(7, 2, end=True)
    third, _ = rig.submit(8, 3, start=True)
    assert first.admitted == rig.metrics.waiting_since()

    await turn()
    assert second.admitted == rig.metrics.waiting_since()
    await rig.answer()
    assert third.admitted == rig.metrics.waiting_since()
    await rig.answer()
    assert math.inf == rig.metrics.waiting_since()
    await rig.answer()
    await rig.scheduler.stop()


async def test_deadlines_hold_while_a_step_waits() -> None:
    """For its turn in the sequence as well as for a worker."""
    rig = SequenceRig()
    _, first = rig.submit(7, 1, start=True)
    _, late = rig.submit(7, 2, seconds=0.02)
    await asyncio.sleep(0.05)

    assert isinstance(ending(late), DeadlineExceeded)
    await rig.answer()
    assert ending(first) is None
    assert 0 == rig.metrics.pending()
    await rig.scheduler.stop()


@in_virtual_time
async def test_idle_sequences_end() -> None:
    """After the time that the configuration says, unless a request came meanwhile."""
    rig = SequenceRig(idle=60_000)
    for name in (7, 8):
        rig.submit(name, 1, start=True)
    await rig.answer()
    await asyncio.sleep(0.04)
    rig.submit(8, 1)
    await rig.answer()
    await asyncio.sleep(0.04)

    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 1)
    rig.submit(8, 1)
    assert [(1, 0, 0, 8, 2)] == await rig.answer()
    await asyncio.sleep(0.15)
    assert 0 == rig.metrics.sequences()
    await rig.scheduler.stop()


async def test_sequences_beyond_the_slots_wait_for_one() -> None:
    """In the order in which they came; who left doesn't get it."""
    rig = SequenceRig(slots=1)
    rig.submit(1, 1, start=True)
    _, second = rig.submit(2, 2, start=True)
    gone, _ = rig.submit(3, 3, start=True)
    rig.submit(4, 4, start=True, end=True)
    assert 4 == rig.metrics.sequences()
    assert [1] == [row[3] for row in await rig.answer()]
    gone.cancel()
    rig.submit(1, 1, end=True)
    assert [1] == [row[3] for row in await rig.answer()]
    assert [2] == [row[3] for row in await rig.answer()]
    assert ending(second) is None
    assert rig.instance.job is None

    rig.submit(2, 1, end=True)
    await rig.answer()
    assert [4] == [row[3] for row in await rig.answer()]
    assert 0 == rig.metrics.sequences()
    await rig.scheduler.stop()


async def test_texts_are_names_too() -> None:
    """Where the model takes them; a model that takes numbers refuses them, and numbers that are too large."""
    rig = SequenceRig(datatype="TYPE_STRING")
    rig.submit("a", 1, start=True)
    await turn()
    assert b"a" == rig.seen[0][3]
    await rig.scheduler.stop()

    rig = SequenceRig(datatype="TYPE_INT32")
    for name in ("a", 2**31):
        with pytest.raises(InvalidRequest, match="takes INT32 numbers"):
            rig.submit(name, 1, start=True)
    assert 0 == rig.metrics.sequences()
    await rig.scheduler.stop()


@pytest.mark.parametrize("name", [0, "", True, -1, 2**64, 1.5, "a" * 129])
async def test_names_that_are_none(rig: SequenceRig, name: Any) -> None:
    """They are refused with what is expected."""
    with pytest.raises(InvalidRequest, match="sequence_id"):
        rig.submit(name, 1, start=True)


async def test_a_step_has_one_row_and_its_flags_are_flags(rig: SequenceRig) -> None:
    """Several rows would be several steps at once."""
    with pytest.raises(InvalidRequest, match="parameter sequence_start is 1, expected true or false"):
        rig.submit(7, 1, start=1)  # type: ignore[arg-type]
    exchange, _ = rig.submit(7, 1, start=True)
    exchange.rows = 2
    with pytest.raises(InvalidRequest, match="2 rows"):
        rig.scheduler.submit(exchange)
    exchange.rows = 1


async def test_a_full_queue_refuses() -> None:
    """Steps that wait for their turn count."""
    rig = SequenceRig(most=2)
    rig.submit(7, 1, start=True)
    rig.submit(7, 1)
    with pytest.raises(QueueFull):
        rig.submit(7, 1)
    await rig.scheduler.stop()


async def test_stopping_ends_all() -> None:
    """Those that are computed and those that wait."""
    rig = SequenceRig(slots=1)
    receivers = [rig.submit(name, 1, start=start)[1] for name, start in ((7, True), (7, False), (8, True))]
    await rig.scheduler.stop()

    await turn()
    assert [1, 1, 1] == [len(receiver.endings) for receiver in receivers]
    assert all(isinstance(ending(receiver), HoneError) for receiver in receivers)


class Client:
    """One client's view of its sequence: what it has sent and what it was answered."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.sent: list[tuple[float, bool, Exchange, Recorder]] = []
        self.counts_on: list[Recorder | None] = []
        """The step just before each, if that wasn't answered yet."""

    def add(self, x: float, exchange: Exchange, receiver: Recorder, *, start: bool) -> None:
        """It has sent one more."""
        before = self.sent[-1][3] if self.sent and not self.sent[-1][2].ended and not start else None
        self.counts_on.append(before)
        self.sent.append((x, start, exchange, receiver))

    def check(self) -> None:
        """Each answer is what those before it that went well make of it, and counted on none that didn't."""
        total: float | None = None
        for (x, start, _, receiver), before in zip(self.sent, self.counts_on, strict=True):
            assert 1 == len(receiver.endings)
            if receiver.endings[0] is None:
                total = x if start else (total or 0) + x
                assert total == receiver.answers[0].item()
                assert before is None or before.endings == [None]
            else:
                assert not receiver.answers or isinstance(receiver.endings[0], Cancelled)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_answers_are_those_of_the_steps_that_went_well(seed: int, slots: int) -> None:
    """Under any mix of steps, failures, crashes, cancellations and deadlines each request ends exactly once."""
    asyncio.run(chaos(random.Random(seed), slots))


async def chaos(chance: random.Random, slots: int) -> None:
    rig = SequenceRig(slots=slots)
    clients = [Client(name) for name in range(1, 5)]
    done: list[Client] = []
    for _ in range(60):
        act = chance.choice(["send", "send", "send", "answer", "answer", "refuse", "die", "cancel", "pause"])
        if act == "send":
            client = chance.choice(clients)
            start, end, x = chance.random() < 0.3, chance.random() < 0.15, chance.randrange(1, 100)
            try:
                exchange, receiver = rig.submit(client.name, x, start=start, end=end)
            except InvalidRequest:
                continue
            client.add(x, exchange, receiver, start=start)
            if end:  # whoever comes next under this name is another sequence
                done.append(client)
                clients[clients.index(client)] = Client(client.name + 10)
        elif act == "cancel":
            alive = [one for client in clients for *_, one, _ in client.sent if not one.ended]
            if alive:
                chance.choice(alive).cancel()
                await turn()  # so that who counted on it is told before anybody counts on those
        elif act == "pause":
            await turn()
        elif rig.instance.job is not None:
            if act == "answer":
                await rig.answer()
            elif act == "refuse":
                rig.instance.refuse()
                await turn()
            else:
                rig.instance.die(blameless=True)
                rig.instance.revive()
    for _ in range(400):
        await turn()
        if rig.instance.job is not None:
            await rig.answer()
        else:
            rest = [one for client in clients + done for *_, one, _ in client.sent if not one.ended]
            if not rest:
                break
            rest[0].cancel()  # it waits for a slot that nobody leaves
    for client in clients + done:
        client.check()
    assert 0 == rig.metrics.pending()
    await rig.scheduler.stop()


async def test_a_start_that_was_refused_ends_the_sequence_before(rig: SequenceRig) -> None:
    """Nobody goes on from what another session left, whether the start failed before it was taken or after."""
    rig.submit(7, 1, start=True)
    await rig.answer()
    _, failed = rig.submit(7, 5, start=True)
    await turn()
    rig.instance.refuse()
    await turn()
    assert isinstance(ending(failed), BackendError)
    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 2)

    exchange, _ = rig.submit(7, 1, start=True)
    await rig.answer()
    rig.scheduler.refused(exchange.request)
    await turn()
    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 2)
    assert 0 == rig.metrics.sequences()


async def test_steps_before_a_refused_start_are_answered(rig: SequenceRig) -> None:
    """They were sent before it; the next sequence of that name is another."""
    rig.submit(7, 1, start=True)
    exchange, second = rig.submit(7, 2)
    rig.scheduler.refused(structs.replace(exchange.request, parameters={"sequence_id": 7, "sequence_start": True}))
    rig.submit(7, 9, start=True)
    await rig.answer()
    assert [(2, 0, 0, 7, 1)] == await rig.answer()
    assert ending(second) is None
    rig.submit(7, 1, end=True)
    assert [(1, 0, 1, 7, 9)] == await rig.answer()


async def test_a_start_that_is_cancelled_while_it_waits_harms_none_before_it(rig: SequenceRig) -> None:
    """Those go on from their own states; then the sequence is over."""
    rig.submit(7, 1, start=True)
    rig.submit(7, 2)
    third, _ = rig.submit(7, 9, start=True)
    third.cancel()
    await rig.answer()

    assert [(2, 0, 0, 7, 1)] == await rig.answer()
    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 1)
    assert 0 == rig.metrics.sequences()


async def test_a_step_that_is_refused_while_others_are_under_way_ends_its_sequence(rig: SequenceRig) -> None:
    """Whoever sends ahead may have sent the next one already; what was sent before it is answered."""
    rig.submit(7, 1, start=True)
    exchange, second = rig.submit(7, 2)
    rig.scheduler.refused(exchange.request)
    with pytest.raises(InvalidRequest, match=r"START flag .* of which a step was refused while others were under way"):
        rig.submit(7, 3)
    await rig.answer()
    assert [(2, 0, 0, 7, 1)] == await rig.answer()
    assert ending(second) is None
    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 3)
    assert 0 == rig.metrics.sequences()


async def test_a_step_that_is_refused_when_nothing_is_under_way_can_be_sent_again(rig: SequenceRig) -> None:
    """Its client has all answers, and is told that this one wasn't taken."""
    exchange, _ = rig.submit(7, 1, start=True)
    await rig.answer()
    rig.scheduler.refused(structs.replace(exchange.request, parameters={"sequence_id": 7}))
    rig.submit(7, 2)
    assert [(2, 0, 0, 7, 1)] == await rig.answer()


@pytest.mark.parametrize("said", [{}, {"sequence_id": True}, {"sequence_id": 0}, {"sequence_id": 1.0}])
async def test_a_refused_request_that_names_no_sequence_ends_none(rig: SequenceRig, said: dict[str, Any]) -> None:
    """Neither one whose name is like it."""
    exchange, _ = rig.submit(1, 1, start=True)
    rig.scheduler.refused(structs.replace(exchange.request, parameters={**said, "sequence_start": True}))
    await rig.answer()
    rig.submit(1, 2)
    assert [(2, 0, 0, 1, 1)] == await rig.answer()


async def test_a_start_whose_flag_is_none_ends_the_sequence_before(rig: SequenceRig) -> None:
    """Its client meant to begin anew: nobody goes on from what was before."""
    exchange, _ = rig.submit(7, 1, start=True)
    await rig.answer()
    rig.scheduler.refused(structs.replace(exchange.request, parameters={"sequence_id": 7, "sequence_start": 1}))
    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 2)


async def test_a_start_that_is_cancelled_ends_no_later_sequence_of_its_name(rig: SequenceRig) -> None:
    """That one has begun since, behind a last step."""
    rig.submit(7, 1, start=True)
    waiting, _ = rig.submit(7, 2, start=True, end=True)
    rig.submit(7, 5, start=True)
    waiting.cancel()
    assert [(1, 1, 0, 7, 0), (5, 1, 0, 7, 0)] == await rig.answer()
    rig.submit(7, 1)
    assert [(1, 0, 0, 7, 5)] == await rig.answer()


async def test_nothing_is_refused_by_its_headers_alone() -> None:
    """Whose step it is only the body says, and nobody is to go on without it."""
    rig = SequenceRig(most=1)
    rig.submit(7, 1, start=True)
    rig.scheduler.precheck(1e-9, 1.0)
    await rig.scheduler.stop()


async def test_a_start_that_is_refused_behind_a_last_step_ends_that_sequence_too(rig: SequenceRig) -> None:
    """Though the last step fails then, which could be sent again otherwise."""
    rig.submit(7, 1, start=True)
    await rig.answer()
    last, _ = rig.submit(7, 2, end=True)
    rig.scheduler.refused(structs.replace(last.request, parameters={"sequence_id": 7, "sequence_start": True}))
    last.cancel()
    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 3)


async def test_a_first_step_that_fails_is_nothing_to_go_on_from(rig: SequenceRig) -> None:
    """Not even in the moment in which it fails."""
    exchange, _ = rig.submit(7, 1, start=True)
    exchange.cancel()
    with pytest.raises(InvalidRequest, match="START"):
        rig.submit(7, 2)


async def test_a_name_is_quoted_on_one_line(rig: SequenceRig) -> None:
    """Whatever it holds."""
    with pytest.raises(InvalidRequest, match=r'for sequence "a\\nb" to model'):
        rig.submit("a\nb", 1)
