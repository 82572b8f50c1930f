"""What a search tries, in which order, and that it ends with the best that it saw."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.compression.search.doubles import DoubleSubject, numbers_gain, trial
from training.compression.search.budget import Budget
from training.compression.search.design import Design
from training.compression.search.explore import Search
from training.compression.search.front import choose, front
from training.compression.search.trial import Trial
from training.gain import ITSELF, Gain, Interval
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16

BUDGET = Budget(max_drop=0.01)
BETWEEN = {"compute": Interval(low=5.79, high=7.1)}
ENOUGH = Gain(size=4, compute=5.91, latency=1, throughput=1, intervals={"compute": Interval(low=5.14, high=6.25)})


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


def test_what_gains_as_much_as_is_asked_is_preferred() -> None:
    """To what loses less and can't be told from it, but falls short."""
    gains = {"static": Gain(size=4, compute=6.6, latency=1, throughput=1, intervals=BETWEEN), "dynamic": ENOUGH}
    trials = [Trial(design=Design(), score=0.9, drop=0.0, gain=ITSELF)]
    trials += [trial(name, drop, gains[name]) for name, drop in (("static", -0.0005), ("dynamic", -0.0006))]
    assert "teacher-dynamic" == choose(trials, BUDGET).chosen.name
    asked = choose(trials, Budget(max_drop=0.01, at_least=6))
    assert ("teacher-static", True) == (asked.chosen.name, asked.met)


def test_of_twins_the_one_that_loses_least_is_gone_on_with() -> None:
    """The same graph by other ranges is as fast, whatever the clock says."""
    faster = {"static": 2.0, "static_entropy": 2.2, "static_percentile": 2.1, "dynamic": 1.5, "f32": 1.0}
    subject = DoubleSubject(
        lost=lambda one: {"static_percentile": 0.0, "static": 0.004, "static_entropy": 0.004}.get(one.numbers, 0.0),
        faster=lambda one: faster.get(one.numbers, 0.5) / one.network.share / (1 if one.runtime == ONNX_RUNTIME else 4),
        numbers=("static", "static_entropy", "static_percentile", "dynamic"),
        runtimes=(ONNX_RUNTIME, OPENVINO),
    )
    Search(subject, BUDGET).run()
    assert ["f32", "static_percentile"] == [
        one.numbers for one in subject.asked if one.runtime == OPENVINO and one.network.share == 1
    ]
    ways = {one.numbers for one in subject.asked if one.network.share == 0.5}
    assert {"f32", "static_percentile", "dynamic"} == ways


def test_rounding_is_no_win() -> None:
    """What loses less than can be told, and is slower, isn't worth having."""
    trials = [
        Trial(design=Design(), score=0.9, drop=0.0, gain=ITSELF),
        trial("static", -2e-6, Gain(size=0.2, compute=0.25, latency=0.25, throughput=0.25)),
    ]
    assert ["teacher"] == [one.name for one in front(trials, "latency")]


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
    lost = {one.name: round(one.drop, 4) for one in search.trials}
    for one in kept:
        assert not any(
            (lost[other.name] <= lost[one.name] and other.gain.compute > one.gain.compute)
            or (lost[other.name] < lost[one.name] and other.gain.compute >= one.gain.compute)
            for other in search.trials
        )
    for other in search.trials:
        assert any(lost[one.name] <= lost[other.name] and one.gain.compute >= other.gain.compute for one in kept)
    if choice.nearest is not None:
        assert choice.nearest.gain.compute >= budget.at_least
