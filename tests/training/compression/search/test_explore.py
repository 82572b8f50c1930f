"""What a search tries, in which order, and that it ends with the best that it saw."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.compression.search.doubles import DoubleSubject, numbers_gain
from training.compression.search.budget import Budget
from training.compression.search.design import Design
from training.compression.search.explore import Search
from training.compression.search.front import choose, front
from training.compression.search.trial import Trial
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16

BUDGET = Budget(max_drop=0.01)


def test_what_costs_nothing_is_tried_first() -> None:
    """The teacher, its other numbers, then the other runtimes for floats and the best of those; no bf16 of integers."""
    subject = DoubleSubject(lost=lambda _: 0.0, faster=numbers_gain, routes={})
    assert "done" == Search(subject, BUDGET).run()
    assert [
        Design(),
        Design(numbers="static"),
        Design(numbers="dynamic"),
        Design(numbers="static_reverted"),
        Design(runtime=OPENVINO),
        Design(numbers="static", runtime=OPENVINO),
        Design(runtime=OPENVINO_BF16),
    ] == subject.asked


def test_other_runtimes_take_integers_whose_ranges_were_learnt() -> None:
    """However much faster those with ranges of each batch are by the usual one: elsewhere they become floats."""
    subject = DoubleSubject(
        lost=lambda _: 0.0, faster=lambda one: 3.0 if one.numbers == "dynamic" else numbers_gain(one), routes={}
    )
    Search(subject, BUDGET).run()
    assert {"f32", "static"} == {one.numbers for one in subject.asked if one.runtime == OPENVINO}


def test_what_cant_be_made_is_told_and_passed_over() -> None:
    """It is a trial that failed, and never chosen."""
    subject = DoubleSubject(
        lost=lambda _: 0.0, faster=numbers_gain, failing=lambda one: one.numbers == "static", routes={}
    )
    search = Search(subject, BUDGET)
    assert "done" == search.run()
    assert {"teacher-static"} == {one.name for one in search.trials if one.failed}
    assert "teacher" == choose(search.trials, BUDGET).chosen.name


@given(most=st.integers(1, 40))
def test_the_best_so_far_is_there_whenever_the_time_is_up(most: int) -> None:
    """And a search that goes on tries the same again, in the same order, before what is new."""
    subject = DoubleSubject(lost=lambda _: 0.0, faster=numbers_gain, most=most)
    search = Search(subject, BUDGET)
    ended = search.run()
    again = DoubleSubject(lost=lambda _: 0.0, faster=numbers_gain)
    Search(again, BUDGET).run()
    assert (ended == "time") == (len(again.asked) > most)
    assert subject.asked == again.asked[:most]
    chosen = choose(search.trials, BUDGET).chosen
    assert chosen.gain.compute == max(one.gain.compute for one in search.trials)


def test_an_interrupt_before_anything_was_tried_is_one() -> None:
    """There is no best so far to be told."""

    class Interrupted(DoubleSubject):
        def tried(self, designs: Sequence[Design]) -> Sequence[Trial]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Search(Interrupted(lost=lambda _: 0.0, faster=numbers_gain), BUDGET).run()


losses = st.floats(-0.1, 0.2)
speeds = st.floats(0.1, 20)


@given(
    table=st.dictionaries(st.sampled_from(["static", "dynamic", "a", "b", "c"]), st.tuples(losses, speeds)),
    budget=st.builds(Budget, max_drop=st.floats(0, 0.1), at_least=st.floats(0.5, 10)),
)
def test_choice_and_front_keep_their_promises(table: dict[str, tuple[float, float]], budget: Budget) -> None:
    """The chosen keeps to the budget, nothing that does gains more; nothing in the front is beaten in both."""
    subject = DoubleSubject(
        lost=lambda one: table.get(one.numbers, (0.0, 1.0))[0],
        faster=lambda one: table.get(one.numbers, (0.0, 1.0))[1],
        routes={},
        numbers=list(table),
        runtimes=(ONNX_RUNTIME,),
    )
    search = Search(subject, budget)
    search.run()
    choice = choose(search.trials, budget)
    assert choice.chosen.drop <= budget.max_drop
    assert all(one.gain.compute <= choice.chosen.gain.compute for one in search.trials if one.within(budget))
    assert choice.met == (choice.chosen.gain.compute >= budget.at_least)
    kept = front(search.trials, "latency")
    for one in kept:
        assert not any(
            (other.drop <= one.drop and other.gain.compute > one.gain.compute)
            or (other.drop < one.drop and other.gain.compute >= one.gain.compute)
            for other in search.trials
        )
    for other in search.trials:
        assert any(one.drop <= other.drop and one.gain.compute >= other.gain.compute for one in kept)
    if choice.nearest is not None:
        assert choice.nearest.gain.compute >= budget.at_least
