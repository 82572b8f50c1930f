"""Floats among the teacher's integers: tried where those lose too much or cost time, and only as many as it takes."""

import pytest

from tests.training.compression.search.doubles import DoubleSubject
from training.compression.search.budget import Budget, Objective
from training.compression.search.design import FLOAT, Design
from training.compression.search.explore import Search
from training.compression.search.front import choose
from training.compression.search.made import Made
from training.compression.search.numbers import HALF, Numbers
from training.compression.search.trial import Trial
from training.gain import Gain
from training.runtime import ONNX_RUNTIME, OPENVINO

BUDGET = Budget(max_drop=0.01)
FASTER = {FLOAT: 1.0, "static": 3.0, "static_entropy": 2.9, "dynamic": 1.5, HALF: 0.8}


def subject(
    needed: int, layers: int = 20, *, reverting: float | None = None, numbers: tuple[str, ...] = ("static", "dynamic")
) -> DoubleSubject:
    """Static integers lose too much until so many of the layers are kept in float, which costs some of their speed."""

    def lost(design: Design) -> float:
        own = Numbers.of(design.numbers)
        return 0.05 if own.method.startswith("static") and own.kept < needed else 0.0

    def faster(design: Design) -> float:
        own = Numbers.of(design.numbers)
        whole = FASTER[own.method] * (reverting or 1.0 if own.reverted else 1.0)
        return whole - (whole - 1) * own.kept / layers

    def failing(design: Design) -> bool:
        own = Numbers.of(design.numbers)
        return own.kept >= layers or (own.reverted and reverting is None)

    return DoubleSubject(
        lost=lost, faster=faster, failing=failing, routes={}, numbers=numbers, runtimes=(ONNX_RUNTIME,)
    )


def searched(double: DoubleSubject, objective: Objective = "latency") -> Search:
    search = Search(double, Budget(max_drop=0.01, objective=objective))
    search.run()
    return search


def mixed(double: DoubleSubject) -> list[int]:
    return [own.kept for one in double.asked if (own := Numbers.of(one.numbers)).kept and not own.reverted]


def test_nothing_is_mixed_where_integers_keep_to_the_budget() -> None:
    """They are as fast as can be."""
    double = subject(0)
    searched(double)
    assert [] == mixed(double)


@pytest.mark.parametrize("needed, tried", [(1, [1]), (2, [1, 2]), (3, [1, 2, 4, 3]), (7, [1, 2, 4, 8, 6, 7])])
def test_the_fewest_layers_that_suffice_stay_in_float(needed: int, tried: list[int]) -> None:
    """Found by doubling and bisection; it gains more than what keeps to the budget otherwise, and is chosen."""
    double = subject(needed)
    search = searched(double)
    assert tried == mixed(double)
    assert f"teacher-static_mixed{needed}" == choose(search.trials, BUDGET).chosen.name


def test_it_ends_where_all_layers_would_be_needed() -> None:
    """More than there are can't be made, so fewer are tried, none of which is enough."""
    double = subject(3, layers=3)
    search = searched(double)
    assert [1, 2, 4, 3] == mixed(double)
    assert "teacher-dynamic" == choose(search.trials, BUDGET).chosen.name


def test_mixing_ends_where_there_is_no_time() -> None:
    """What was tried until then counts."""
    double = subject(7)
    double.late = lambda one: Numbers.of(one.numbers).kept >= 4 or Numbers.of(one.numbers).reverted
    search = Search(double, BUDGET)
    assert "time" == search.run()
    assert [1, 2] == mixed(double)[:2]
    assert "teacher-dynamic" == choose(search.trials, BUDGET).chosen.name


def test_the_method_that_loses_least_is_mixed() -> None:
    """Of those with ranges that are learnt."""
    double = subject(1, numbers=("static", "static_entropy"))
    lost = double.lost
    double.lost = lambda one: lost(one) * (0.5 if "entropy" in one.numbers else 1)
    searched(double)
    assert Design(numbers="static_entropy_mixed1") in double.asked


def test_the_best_is_tried_without_what_costs_time() -> None:
    """And chosen where that is faster; what keeps to the budget comes first, mixed or not."""
    double = subject(2, reverting=1.2)
    search = searched(double)
    assert Design(numbers="static_mixed2_reverted") == double.asked[-1]
    assert "teacher-static_mixed2_reverted" == choose(search.trials, BUDGET).chosen.name


@pytest.mark.parametrize("faster, way", [(1.2, "static_reverted"), (0.9, "static")])
def test_networks_are_tried_in_it_where_it_is_faster(faster: float, way: str) -> None:
    """Otherwise it would only take the place of another way."""
    double = subject(0, reverting=faster)
    double.routes = {"student": ()}
    searched(double)
    ways = {one.numbers for one in double.asked if one.network.route == "student"}
    assert way in ways
    assert ("static_reverted" in ways) == (faster > 1)


def test_another_runtime_is_asked_for_what_its_own_times_speak_for() -> None:
    """Not for what was reverted, by the times of the usual one; for what gains most, and within the budget."""
    double = subject(1, reverting=1.2)
    double.runtimes = (ONNX_RUNTIME, OPENVINO)
    searched(double)
    others = [one.numbers for one in double.asked if one.runtime == OPENVINO]
    assert [FLOAT, "static", "static_mixed1"] == others


def test_sixteen_bits_are_tried_for_their_size_alone() -> None:
    """They are no faster; and for size nothing is reverted."""
    numbers = ("static", HALF)
    fast, small = subject(0, reverting=1.2, numbers=numbers), subject(0, reverting=1.2, numbers=numbers)
    searched(fast)
    searched(small, "size")
    assert Design(numbers=HALF) not in fast.asked
    assert Design(numbers=HALF) in small.asked
    assert not [one for one in small.asked if Numbers.of(one.numbers).reverted]


@pytest.mark.parametrize(
    "throughput, compute, chosen",
    [(2.0, 1.95, "static"), (2.0, 1.5, "dynamic"), (1.5, 1.95, "dynamic")],
    ids=["as well", "slower", "fewer a second"],
)
def test_answers_that_batch_mates_move_give_way(throughput: float, compute: float, chosen: str) -> None:
    """To integers that do as well with many inputs at once, and nearly as well by the objective."""

    def trial(numbers: str, compute: float, throughput: float, *, alone: bool = False) -> Trial:
        gain = Gain(size=1, compute=compute, latency=1, throughput=throughput)
        return Trial(design=Design(numbers=numbers), score=1, drop=0, gain=gain, made=Made(alone=alone))

    trials = [
        trial(FLOAT, 1, 1),
        trial("dynamic", 2.0, 2.0, alone=True),
        trial("static", compute, throughput),
    ]
    assert chosen == choose(trials, BUDGET).chosen.design.numbers
