"""The verdict: what is served under the family's name is proved to be good enough, or nothing is."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.training.figures import COUNT, child, gain, measured
from training.evaluate import Measured
from training.gain import Gain
from training.statistics import Paired
from training.verdict import SIGNIFICANT, Budget, choose

TEACHER, STUDENT, INT8 = "digits-teacher", "digits-student", "digits-int8"
RATIOS = st.sampled_from([0.0, 0.5, 0.99, 1.0, 1.01, 2.0, 5.0, math.nan])
GAINS = st.builds(Gain, size=RATIOS, compute=RATIOS, latency=RATIOS, throughput=RATIOS)
HITS = st.integers(200, 800)
PAIRED = st.builds(
    Paired,
    only_first=st.integers(0, 50),
    only_second=st.integers(0, 50),
    p_value=st.sampled_from([0.001, 0.049, 0.05, 1]),
)
BUDGETS = st.builds(
    Budget,
    max_accuracy_drop=st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    min_accuracy=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    min_speedup=st.sampled_from([0.5, 1.0, 2.0]),
    min_shrink=st.sampled_from([0.5, 1.0, 2.0]),
)


@st.composite
def families(draw: st.DrawFn) -> dict[str, Measured]:
    """A teacher and up to three descendants, whose figures may be anything."""
    family = {TEACHER: measured(draw(HITS), rate=draw(st.floats(1, 1000)))}
    for name in (STUDENT, "digits-pruned", INT8)[: draw(st.integers(0, 3))]:
        parent, paired = draw(st.sampled_from(list(family))), draw(PAIRED)
        hits = family[parent].accuracy.hits + paired.only_first - paired.only_second
        family[name] = child(
            hits,
            parent=parent,
            over_teacher=draw(GAINS),
            over_parent=draw(GAINS),
            paired=paired,
            rate=draw(st.floats(1, 1000)),
        )
    return family


def pair(variant: Measured, *, teacher: int = 950) -> dict[str, Measured]:
    return {TEACHER: measured(teacher), STUDENT: variant}


@given(family=families(), budget=BUDGETS)
def test_whatever_is_chosen_was_proved(family: dict[str, Measured], budget: Budget) -> None:
    """What meets a goal keeps the budget, is no slower than its parent, and neither it nor an ancestor is worse."""
    verdict = choose(family, budget)
    if not verdict.goal_met:
        return
    chosen, teacher = family[verdict.chosen], family[TEACHER]
    over_teacher = chosen.over_teacher or gain(size=1, compute=1, throughput=1)
    assert chosen.accuracy.value >= budget.min_accuracy
    assert teacher.accuracy.value - chosen.accuracy.value <= budget.max_accuracy_drop + 1e-9
    assert over_teacher.compute >= budget.min_speedup
    assert over_teacher.size >= budget.min_shrink
    if chosen.parent is not None:
        assert chosen.over_parent is not None
        assert chosen.over_parent.compute >= 1
        assert chosen.over_parent.throughput >= 1
    while chosen.parent is not None:
        test = chosen.against_parent
        assert test is not None
        assert not (test.only_second > test.only_first and test.p_value < SIGNIFICANT)
        chosen = family[chosen.parent]


@given(family=families(), budget=BUDGETS)
def test_everybody_gets_a_reason(family: dict[str, Measured], budget: Budget) -> None:
    """Each variant has one sentence; one alone is said to be chosen, or the nearest miss."""
    verdict = choose(family, budget)
    assert list(family) == list(verdict.reasons)
    first = "chosen: " if verdict.goal_met else "nearest miss: "
    assert [verdict.chosen] == [name for name, text in verdict.reasons.items() if text.startswith(first)]
    assert all(text.startswith("not chosen: ") for name, text in verdict.reasons.items() if name != verdict.chosen)
    assert verdict.chosen in verdict.goal
    assert verdict.goal.startswith("goal met by" if verdict.goal_met else "goal missed; nearest is")


@given(family=families())
def test_an_undemanding_budget_is_always_met(family: dict[str, Measured]) -> None:
    """When nothing beyond the teacher is asked, the teacher is there to be chosen, unless something better is."""
    verdict = choose(family, Budget(max_accuracy_drop=1.0))
    assert verdict.goal_met
    assert family[verdict.chosen].throughput >= family[TEACHER].throughput


@given(family=families(), budget=BUDGETS)
def test_no_better_one_is_passed_over(family: dict[str, Measured], budget: Budget) -> None:
    """Whoever would be chosen alone beside its parents has at most the throughput of the one that is."""
    verdict = choose(family, budget)
    for name, figures in family.items():
        if verdict.reasons[name].startswith("not chosen: digits-"):
            assert figures.throughput <= family[verdict.chosen].throughput


def test_the_teacher_serves_where_nothing_is_better() -> None:
    """With demands at 1, a slower descendant loses against the teacher, and both reasons say so."""
    verdict = choose(pair(child(950, over_teacher=gain(compute=0.9))), Budget())
    assert TEACHER == verdict.chosen
    assert verdict.goal_met
    assert "chosen: accuracy 0.9500" == verdict.reasons[TEACHER]
    assert "goal met by digits-teacher: accuracy 0.9500" == verdict.goal


def test_the_chosen_one_is_told_with_its_gain() -> None:
    """Accuracy, and how much smaller and faster than the teacher."""
    verdict = choose(pair(child(945, over_teacher=gain(size=4.2, compute=3.14))), Budget(min_speedup=2, min_shrink=4))
    assert STUDENT == verdict.chosen
    told = "accuracy 0.9450, 4.20x smaller and 3.14x as fast as the teacher"
    assert f"chosen: {told}" == verdict.reasons[STUDENT]
    assert f"goal met by digits-student: {told}" == verdict.goal
    assert verdict.reasons[TEACHER].startswith("not chosen: 1.00x as fast as the teacher, asked is 2.00x")


@pytest.mark.parametrize(
    "variant,text",
    [
        (child(935), "accuracy falls by 0.0150, the budget is 0.0100"),
        (child(899), "accuracy 0.8990, asked is 0.9000; accuracy falls by 0.0510, the budget is 0.0100"),
        (child(950, over_teacher=gain(size=1.2)), "1.20x smaller than the teacher, asked is 1.50x"),
        (
            child(950, over_teacher=gain(compute=1.2)),
            "1.20x as fast as the teacher, asked is 1.50x",
        ),
        (child(950, over_parent=gain(compute=0.95)), "slower than digits-teacher: 0.95x at batch 1"),
        (child(950, over_parent=gain(compute=0.9973)), "slower than digits-teacher: 0.9973x at batch 1"),
        (child(950, over_parent=gain(throughput=0.8)), "slower than digits-teacher: 0.80x at batch 8"),
        (
            child(945, paired=Paired(only_first=5, only_second=10, p_value=0.03)),
            "worse than digits-teacher: 10 images lost, 5 won, p = 0.03",
        ),
    ],
)
def test_a_variant_that_lacks_something_is_not_chosen_and_told_why(variant: Measured, text: str) -> None:
    """Each demand that isn't met is said with what was found and what was asked."""
    budget = Budget(min_accuracy=0.9, min_speedup=1.5, min_shrink=1.5)
    family = {**pair(variant), INT8: child(950, rate=1.0)}
    verdict = choose(family, budget)
    assert INT8 == verdict.chosen
    assert f"not chosen: {text}" == verdict.reasons[STUDENT]


def test_what_is_made_from_a_worse_one_inherits_that() -> None:
    """INT8 that answers just as a student does that lost images has lost them too."""
    student = child(940, paired=Paired(only_first=5, only_second=15, p_value=0.01))
    int8 = child(940, parent=STUDENT, paired=Paired(only_first=2, only_second=2, p_value=1.0))
    verdict = choose({**pair(student), INT8: int8}, Budget(min_speedup=1.5))
    assert not verdict.goal_met
    text = "made from digits-student, which is worse than digits-teacher: 15 images lost, 5 won, p = 0.01"
    assert text in verdict.reasons[INT8]


def test_worse_by_bad_luck_alone_is_not_worse() -> None:
    """Images lost count only where the paired test says that chance doesn't explain them."""
    unlucky = child(945, paired=Paired(only_first=5, only_second=10, p_value=0.3))
    assert STUDENT == choose(pair(unlucky), Budget(min_speedup=1.5)).chosen


def test_the_faster_of_two_good_ones_is_chosen() -> None:
    """Among those that meet every demand the throughput decides, and the other is told who won."""
    verdict = choose({**pair(child(950, rate=300)), INT8: child(949, rate=400)}, Budget(min_speedup=1.5))
    assert INT8 == verdict.chosen
    assert "not chosen: digits-int8 has the higher throughput" == verdict.reasons[STUDENT]


def test_a_missed_goal_names_the_nearest_miss() -> None:
    """The one that lacks the least, in proportion to what was asked, and what it lacks."""
    near, far = child(950, over_teacher=gain(compute=2.9)), child(950, over_teacher=gain(compute=1.5))
    verdict = choose({**pair(far), INT8: near}, Budget(min_speedup=3))
    assert not verdict.goal_met
    assert INT8 == verdict.chosen
    text = "2.90x as fast as the teacher, asked is 3.00x"
    assert f"goal missed; nearest is digits-int8: {text}" == verdict.goal
    assert f"nearest miss: {text}" == verdict.reasons[INT8]
    assert verdict.reasons[STUDENT].startswith("not chosen: 1.50x")


@pytest.mark.parametrize("field", ["size", "compute", "throughput"])
def test_a_gain_that_could_not_be_measured_is_none(field: str) -> None:
    """A figure that is no number meets no demand, and doesn't make a near miss either."""
    unmeasured = child(950, over_teacher=gain(**{field: math.nan}))
    verdict = choose(pair(unmeasured), Budget(min_shrink=1.5, min_speedup=1.5))
    assert not verdict.goal_met
    assert choose(pair(unmeasured), Budget()).chosen == TEACHER


@given(teacher=st.integers(100, COUNT), lost=st.integers(0, 100))
@example(teacher=874, lost=60)  # 0.874 - 0.06 is more than 0.814, in binary
def test_a_drop_of_exactly_the_budget_is_within_it(teacher: int, lost: int) -> None:
    """Rounding of binary fractions decides nothing: on the budget is in the budget."""
    family = pair(child(teacher - lost), teacher=teacher)
    assert choose(family, Budget(max_accuracy_drop=lost / COUNT, min_speedup=1.5)).goal_met


@pytest.mark.parametrize(
    "wrong", [{"max_accuracy_drop": -0.1}, {"min_accuracy": 1.1}, {"min_speedup": 0.0}, {"min_shrink": -1.0}]
)
def test_a_budget_without_a_meaning_is_refused(wrong: dict[str, float]) -> None:
    """Accuracies are shares, gains are positive."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Budget(**wrong)
