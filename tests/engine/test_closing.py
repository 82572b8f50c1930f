"""Closing a batch: nobody in it is late, nobody hopeless is computed, and a tight head doesn't ruin the rest."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.exchange import Exchange
from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.closing import Closer
from tests.engine.doubles import Owner, Recorder, request

PROFILE = LatencyProfile(
    [BucketTime(rows=rows, median=0.004 + 0.006 * rows, p95=1.0) for rows in (1, 2, 4, 8)], clock=lambda: 0.0
)
"""10 ms for a row, 6 ms for each more."""


def waiting(deadline: float, rows: int = 1, width: int = 3, weight: float = 1.0, level: int = 0) -> Exchange:
    asked = request(*[0.0] * rows, width=width)
    arrays: list[Any] = [asked.inputs[0].array]
    return Exchange(
        request=asked,
        receiver=Recorder(),
        owner=Owner(),
        inputs=arrays,
        outputs=[],
        rows=rows,
        nbytes=arrays[0].nbytes,
        admitted=0.0,
        deadline=deadline,
        weight=weight,
        level=level,
    )


def closed(*exchanges: Exchange, limit: int = 8, preferred: tuple[int, ...] = ()) -> tuple[list[int], list[int]]:
    """Positions of who was taken and who was dropped."""
    closing = Closer(limit=limit, preferred=preferred, alike=alike).close(list(exchanges), 0.0, PROFILE)
    order = {id(exchange): number for number, exchange in enumerate(exchanges)}
    return [order[id(one)] for one in closing.taken], [order[id(one)] for one in closing.dropped]


def alike(one: Exchange, other: Exchange) -> bool:
    return one.inputs[0].shape[1:] == other.inputs[0].shape[1:]


def test_a_batch_is_as_large_as_its_tightest_deadline_allows() -> None:
    """23 ms allow three rows of 10 + 6 + 6; the others make their deadlines in the next batch."""
    assert ([0, 1, 2], []) == closed(waiting(0.023), *[waiting(1.0)] * 0, *[waiting(1.0) for _ in range(5)])


@pytest.mark.parametrize(
    "count, seconds, fullest, taken",
    [(16, 9.0, 8, 8), (16, 9.0, 1, 1), (16, 9.0, 0, 2), (8, 9.0, 8, 8), (7, 9.0, 8, 2), (16, 2.4, 8, 2)],
)
def test_a_backlog_is_computed_in_the_batches_that_compute_most(
    count: int, seconds: float, fullest: int, taken: int
) -> None:
    """Where so much waits, and nobody is in haste; else in the usual ones."""
    closing = Closer(limit=2).close([waiting(seconds)] * count, 0.0, PROFILE, fullest)

    assert ([], taken) == (closing.dropped, len(closing.taken))


def test_who_cannot_make_it_any_more_is_dropped() -> None:
    """Less time than a batch of one takes: it is told so, and costs nobody anything."""
    assert ([1, 2], [0]) == closed(waiting(0.009), waiting(1.0), waiting(1.0))


def test_short_inputs_are_given_the_time_that_they_take() -> None:
    """Inputs that take half as long: 5 ms for a row, so that 6 ms are enough for one, and 12 ms for three."""
    short = [waiting(0.012, weight=0.5), *[waiting(1.0, weight=0.5) for _ in range(4)]]

    assert ([0, 1, 2], []) == closed(*short)
    assert ([0], []) == closed(waiting(0.006, weight=0.5))
    assert ([], [0]) == closed(waiting(0.006))


def test_a_head_that_forces_a_small_batch_is_dropped_when_the_queue_falls_behind() -> None:
    """Seven that need a full batch to be in time aren't sacrificed to one that leaves time for a single row."""
    assert ([1, 2, 3, 4, 5, 6, 7], [0]) == closed(waiting(0.011), *[waiting(0.052) for _ in range(7)])


def test_the_same_head_is_computed_when_there_is_time() -> None:
    """Where those behind it can wait, a small batch costs nobody anything."""
    assert ([0], []) == closed(waiting(0.011), *[waiting(1.0) for _ in range(7)])


def test_nobody_is_sacrificed_to_the_less_important() -> None:
    """The same head isn't dropped for seven of a lower priority level; for two of its own, and five more, it is."""
    low = [waiting(0.052, level=1) for _ in range(7)]
    equals = [waiting(0.023) for _ in range(3)]

    assert ([0], []) == closed(waiting(0.011), *low)
    assert ([1, 2, 3], [0]) == closed(waiting(0.011), *equals, *low)
    assert ([1, 2, 3, 4, 5, 6, 7], [0]) == closed(waiting(0.011, level=1), *low)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.01, 0.1), st.integers(1, 3)), min_size=1, max_size=20),
    st.integers(3, 8),
)
def test_who_is_dropped_in_time_would_have_been_dropped_without_the_less_important(
    asked: list[tuple[int, float, int]], limit: int
) -> None:
    """Whatever waits behind the last level that loses somebody changes nothing about that."""
    exchanges = [waiting(deadline, rows, level=level) for level, deadline, rows in sorted(asked)]
    closer = Closer(limit=limit, alike=alike)
    for lost in closer.close(exchanges, 0.0, PROFILE).dropped:
        equals = [one for one in exchanges if one.level <= lost.level]
        assert lost in closer.close(equals, 0.0, PROFILE).dropped


def test_the_largest_preferred_size_is_made() -> None:
    """With six rows waiting a preferred size of four is made; with three there is none to be made."""
    six = [waiting(1.0) for _ in range(6)]

    assert ([0, 1, 2, 3], []) == closed(*six, preferred=(2, 4, 8))
    assert ([0, 1, 2], []) == closed(*six[:3], preferred=(4, 8))


def test_a_preferred_size_is_made_by_rows_or_not_at_all() -> None:
    """Requests of three and two rows make no four, so that both are taken; with one row more four could be made."""
    three, two, one = waiting(1.0, rows=3), waiting(1.0, rows=2), waiting(1.0)

    assert ([0, 1], []) == closed(three, two, preferred=(4,))
    assert ([0, 1], []) == closed(three, one, two, preferred=(4,))


def test_without_joining_one_request_is_taken() -> None:
    """A limit of 0 rows means that requests aren't joined, however many rows they have."""
    assert ([0], []) == closed(waiting(1.0, rows=3), waiting(1.0), limit=0)


@given(
    st.lists(st.tuples(st.floats(0.001, 0.2), st.integers(1, 3), st.sampled_from([3, 5])), max_size=20),
    st.integers(3, 8),
)
def test_nobody_taken_is_late_and_nobody_in_time_is_dropped_alone(
    asked: list[tuple[float, int, int]], limit: int
) -> None:
    """Whatever waits: the batch fits the limit and its deadlines, has one shape, and is empty only if all are lost."""
    exchanges = [waiting(deadline, rows, width) for deadline, rows, width in sorted(asked)]
    closing = Closer(limit=limit, alike=alike).close(exchanges, 0.0, PROFILE)
    rows = sum(one.rows for one in closing.taken)

    assert rows <= limit
    assert not set(map(id, closing.taken)) & set(map(id, closing.dropped))
    assert len({one.inputs[0].shape[1:] for one in closing.taken}) <= 1
    if closing.taken:
        assert PROFILE.seconds(rows) <= min(one.deadline for one in closing.taken) + 1e-9
    else:
        assert all(PROFILE.seconds(one.rows) > one.deadline for one in exchanges if one not in closing.dropped)
        assert len(closing.dropped) == len(exchanges)
    np.testing.assert_array_equal(
        [one.deadline for one in closing.dropped], sorted(one.deadline for one in closing.dropped)
    )
