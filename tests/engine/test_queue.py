"""The order of what waits: the earliest deadline within levels, and nobody is passed over for ever."""

import math
import weakref
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from service.artifact.queue_policy import QueuePolicy
from service.engine.exchange import Exchange
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.queue import AGEING_SECONDS, PASSED_OVER, RequestQueue
from service.metrics import ModelMetrics
from tests.engine.doubles import Owner, Recorder, request

LEVELS = 3


def queued(count: int = LEVELS) -> RequestQueue:
    return RequestQueue(ModelMetrics(), policies=[QueuePolicy()] * count, max_requests=10**4, max_bytes=10**9)


def waiting(admitted: float, seconds: float, level: int = 0) -> Exchange:
    asked = request(0.0)
    return Exchange(
        request=asked,
        receiver=Recorder(),
        owner=Owner(),
        inputs=[asked.inputs[0].array],
        outputs=[],
        rows=1,
        nbytes=1,
        admitted=admitted,
        deadline=admitted + seconds,
        level=level,
    )


def pushed(queue: RequestQueue, *exchanges: Exchange) -> Sequence[Exchange]:
    for exchange in exchanges:
        queue.push(exchange)
    return exchanges


def test_the_earliest_deadline_goes_first() -> None:
    """Within a level; a more important level goes before, whatever its deadlines."""
    queue = queued()
    far, near, important = pushed(queue, waiting(0, 3, 1), waiting(0, 1, 1), waiting(0, 4))

    assert [important, near, far] == queue.first(9, 0.0)


def test_who_waits_longest_is_known() -> None:
    """Whatever the order in which they are taken, delayed and retried ones too; nobody who has ended or was taken."""
    queue = queued()
    oldest, delayed, newest = pushed(queue, waiting(1, 60, 1), waiting(2, 60), waiting(3, 1))
    queue.delay([delayed])
    assert 1 == queue._waiting_since()

    oldest.ended = True
    queue.leave(oldest)
    assert 2 == queue._waiting_since()
    batch = Batch([delayed])
    queue.taken(batch, 4.0)
    assert 3 == queue._waiting_since()
    queue.push_again([batch])
    assert 2 == queue._waiting_since()
    queue.retry()
    queue.taken(batch, 5.0)
    queue.taken(Batch([newest]), 5.0)
    assert math.inf == queue._waiting_since()


def test_a_patient_request_is_passed_over_for_a_while_only() -> None:
    """Who is due sooner goes first, unless the other has waited so long that no deadline can be before its place."""
    queue = queued(1)
    patient, soon, late = pushed(queue, waiting(0, 60), waiting(4, 0.5), waiting(4, 2))

    assert [soon, patient, late] == queue.first(9, 4.0)
    assert (1, [patient, late]) == (queue.rows_before(0, 4.0, 4.9), queue.behind(0, 4.0, 4.9))
    assert (3, []) == (queue.rows_before(0, 4.0, 60.0), queue.behind(0, 4.0, 60.0))


def test_waiting_raises_to_the_first_level_and_not_beyond() -> None:
    """There the deadlines decide, also against one that has waited for longer."""
    queue = queued()
    aged, soon = pushed(queue, waiting(0, 60, 2), waiting(2.5, 1))

    assert [soon, aged] == queue.first(9, 1.5 + AGEING_SECONDS)


def test_delayed_ones_go_behind_all_others_of_their_level_however_long_they_wait() -> None:
    """And behind those that are more important, but before those that are less, as in Triton."""
    queue = queued()
    delayed, low = pushed(queue, waiting(0, 60, 1), waiting(9, 60, 2))
    queue.delay([delayed])
    fresh, important = pushed(queue, waiting(9, 60, 1), waiting(9, 60))

    assert [important, fresh, delayed, low] == queue.first(9, 9.0)
    assert 2 == queue.rows_before(1, 9.0, 70.0)


def test_delayed_ones_keep_the_order_of_their_deadlines() -> None:
    """Of two that have waited too long the one that is due sooner goes first, with one level as with several."""
    for count in (1, LEVELS):
        queue = queued(count)
        far, near = pushed(queue, waiting(0, 3), waiting(0, 2))
        queue.delay([far])
        queue.delay([near])

        assert [near, far] == queue.first(9, 1.0)


def test_who_has_left_holds_no_memory() -> None:
    """Behind one that still waits, too: the bound on bytes wouldn't be one otherwise."""
    queue = queued(1)
    pushed(queue, waiting(0, 1))
    gone = pushed(queue, *[waiting(0, 2) for _ in range(3)])
    held = [weakref.ref(exchange.inputs[0]) for exchange in gone]
    for exchange in gone:
        exchange.ended = True
        queue.leave(exchange)
    del exchange, gone

    assert [None] * 3 == [reference() for reference in held]


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "push", "take", "delay"]),
        st.floats(0.0, 1.5),
        st.sampled_from([0.1, 0.5, 2.0, 8.0, 30.0]),
        st.integers(0, LEVELS - 1),
    ),
    max_size=60,
)


@given(ARRIVALS, st.booleans())
def test_nobody_waits_beyond_the_bound_behind_who_came_later(
    events: list[tuple[str, float, float, int]], levels: bool
) -> None:
    """Under any arrivals: once it has risen and its time is over, only those that were there before go before it.

    Delayed ones are never before one that isn't, of the same level or a more important one.
    """
    queue = queued(LEVELS if levels else 1)
    delayed: list[Exchange] = []
    now = 0.0
    for event, seconds, allowed, level in events:
        now += seconds
        expire(queue, now)
        order = queue.first(len(queue), now)
        assert len(queue) == len(order)
        if event == "push":
            queue.push(waiting(now, allowed, level if levels else 0))
        elif event == "take" and order:
            queue.taken(Batch(order[:1]), now)
        elif event == "delay" and order and order[-1] not in delayed:
            delayed.append(order[-1])
            queue.delay([order[-1]])
        check(queue.first(len(queue), now), delayed, now)


def expire(queue: RequestQueue, now: float) -> None:
    for exchange in list(queue):
        if exchange.deadline <= now:
            exchange.ended = True
            queue.leave(exchange)


def check(order: list[Exchange], delayed: list[Exchange], now: float) -> None:
    latest, least = -math.inf, LEVELS
    for exchange in order:
        if exchange in delayed:
            least = min(least, exchange.level)
        else:
            assert exchange.level > least or least == LEVELS
            if now - exchange.admitted > max(PASSED_OVER, exchange.level * AGEING_SECONDS):
                assert latest <= exchange.admitted
            latest = max(latest, exchange.admitted)
