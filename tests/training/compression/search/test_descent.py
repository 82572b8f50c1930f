"""Which networks a search makes: how far each route goes, where the next begins, and what is tried for near misses."""

from collections.abc import Mapping

from tests.training.compression.search.doubles import DoubleSubject, numbers_gain
from training.compression.search.budget import Budget
from training.compression.search.design import FLOAT, SHARES, Design, Network
from training.compression.search.explore import Search
from training.compression.search.front import choose
from training.compression.search.numbers import Numbers
from training.runtime import ONNX_RUNTIME, OPENVINO

BUDGET = Budget(max_drop=0.01)


def searched(subject: DoubleSubject, budget: Budget = BUDGET) -> list[str]:
    """The names of the networks that were tried, in their order, and at last the variant that is chosen."""
    search = Search(subject, budget)
    assert "done" == search.run()
    names = dict.fromkeys(one.network.name for one in subject.asked)
    return [*names, choose(search.trials, budget).chosen.name]


def losing(table: Mapping[str, float], otherwise: float = 0.0) -> DoubleSubject:
    """Its networks lose what stands there by their names, in all numbers."""
    return DoubleSubject(lost=lambda one: table.get(one.network.name, otherwise), faster=numbers_gain)


def test_networks_become_smaller_until_too_much_is_lost() -> None:
    """Each in floating point and in what did best; after the first that loses too much, one between."""
    subject = losing({"student12": 0.02, "student6": 0.05})
    assert ["teacher", "student50", "student25", "student12", "student17", "student17-static"] == searched(subject)
    small = {(one.numbers, one.runtime) for one in subject.asked if one.network != Network()}
    assert {(FLOAT, ONNX_RUNTIME), ("static", ONNX_RUNTIME), ("static", OPENVINO)} == small


def test_a_network_that_never_loses_is_made_as_small_as_there_are_shares() -> None:
    """What is named goes with it: a half by one decimal, below one percent too."""
    found = searched(losing({}))
    names = ["student50", "student25", "student12", "student6", "student3", "student1_5"]
    assert ["teacher", *names, "student1_5-static"] == found
    assert [0.5, 0.25, 0.12, 0.06, 0.03, 0.015] == list(SHARES)


def test_a_route_ends_where_nothing_is_gained() -> None:
    """Two networks in a row that are no faster than what was before: a third would cost a fit for nothing."""
    subject = DoubleSubject(lost=lambda _: 0.0, faster=lambda one: 2.0 if one.network.share <= 0.5 else 1.0)
    assert ["teacher", "student50", "student25", "student12", "student50"] == searched(subject)


def test_a_route_begins_where_another_has_come_to() -> None:
    """What is larger would gain less; between two that lose too much nothing could be enough."""
    subject = losing({"pruned12": 0.02, "pruned17": 0.02, "student12": 0.02, "student17": 0.02})
    subject.routes = {"pruned": (), "student": ()}
    expected = ["pruned50", "pruned25", "pruned12", "pruned17", "student25", "student12", "student17"]
    assert ["teacher", *expected, "pruned25-static"] == searched(subject)


def test_who_is_nearly_enough_gets_remedies_until_one_is() -> None:
    """That goes on to smaller networks, as long as they keep to the budget."""
    subject = losing(dict.fromkeys(("student25", "student25-hinted", "student12-assisted"), 0.03) | {"student35": 0.02})
    subject.routes = {"student": ("hinted", "assisted", "other")}
    expected = ["student50", "student25", "student35", "student35-hinted", "student25-hinted"]
    assert ["teacher", *expected, "student35-hinted-static"] == searched(subject)
    subject = losing({"student35": 0.02, "student25": 0.03, "student35-hinted": 0.011, "student12-assisted": 0.02})
    subject.routes = {"student": ("hinted", "assisted", "other")}
    expected = ["student50", "student25", "student35", "student35-hinted", "student35-assisted", "student25-assisted"]
    assert ["teacher", *expected, "student12-assisted", "student25-assisted-static"] == searched(subject)


def test_who_is_far_off_or_gains_less_gets_no_remedy() -> None:
    """Five times what may be lost is too much; a network that is no faster than one that does would bring nothing."""
    subject = losing({}, otherwise=0.05)
    subject.routes = {"student": ("hinted",)}
    subject.numbers = ()
    subject.runtimes = (ONNX_RUNTIME,)
    assert "student50-hinted" not in searched(subject)
    subject = losing({"pruned6": 0.05, "pruned8": 0.05, "student12": 0.02, "student8": 0.02})
    subject.routes = {"pruned": (), "student": ("hinted",)}
    assert "student12-hinted" not in searched(subject)


def test_what_cant_be_made_is_left_out() -> None:
    """A smaller one may exist, where one would be the same as another; two in a row that can't be end a route."""
    failing = {"student12", "student3", "student1_5"}
    subject = DoubleSubject(lost=lambda _: 0.0, faster=numbers_gain, failing=lambda one: one.network.name in failing)
    names = ["student50", "student25", "student12", "student6", "student3", "student1_5"]
    assert ["teacher", *names, "student6-static"] == searched(subject)
    failing |= {"student25"}
    subject = DoubleSubject(lost=lambda _: 0.0, faster=numbers_gain, failing=lambda one: one.network.name in failing)
    assert ["teacher", "student50", "student25", "student12", "student50-static"] == searched(subject)


def test_what_there_is_no_time_for_says_nothing_of_what_takes_less() -> None:
    """Smaller networks are tried, however many of the larger ones would take too long; the search says so."""
    subject = losing({"student6": 0.02, "student8": 0.02})
    subject.late = lambda one: one.network.share in {0.5, 0.25}
    search = Search(subject, BUDGET)
    assert "time" == search.run()
    names = list(dict.fromkeys(one.network.name for one in subject.asked))
    assert ["teacher", "student12", "student6", "student8"] == names
    assert "student12-static" == choose(search.trials, BUDGET).chosen.name


def test_integers_are_learnt_where_they_lose_and_would_gain() -> None:
    """Once a network, by the runtime that is fastest for them; not where floats lose too much themselves."""
    lost = {FLOAT: 0.0, "static": 0.006, "dynamic": 0.0, "qat": 0.003}
    subject = DoubleSubject(
        lost=lambda one: lost[Numbers.of(one.numbers).method], faster=numbers_gain, routes={}, aware=True
    )
    assert ["teacher", "teacher-qat"] == searched(subject)
    assert [Design(numbers="qat")] == [one for one in subject.asked if one.numbers == "qat"]
    lost["static"] = 0.004
    subject = DoubleSubject(
        lost=lambda one: lost[Numbers.of(one.numbers).method], faster=numbers_gain, routes={}, aware=True
    )
    assert ["teacher", "teacher-static"] == searched(subject)
    subject = losing({"student50": 0.011, "student71": 0.011})
    subject.aware = True
    assert ["teacher", "student50", "student71", "teacher-static"] == searched(subject)
    assert not [one for one in subject.asked if one.numbers == "qat"]


def test_what_somebody_found_to_be_good_comes_first() -> None:
    """Once; if it keeps to the budget, routes begin with its share, and else where they would."""
    subject = losing({"student6": 0.02, "student8": 0.02})
    subject.first = (Network(route="student", share=0.12),)
    searched(subject)
    names = list(dict.fromkeys(one.network.name for one in subject.asked))
    assert ["teacher", "student12", "student6"] == names[:3]
    assert len(subject.asked) == len(set(subject.asked))
    subject = losing({"student12": 0.02, "student50": 0.02})
    subject.first = (Network(route="student", share=0.12),)
    assert ["teacher", "student12", "student50"] == searched(subject)[:3]


def test_a_share_of_its_own_is_where_routes_go_on_from() -> None:
    """Nothing larger than a named network that keeps to the budget is tried; below the least there is none."""
    subject = losing({"student6": 0.02, "pruned6": 0.02})
    subject.first = (Network(route="student", share=0.08),)
    assert ["teacher", "student8", "student6"] == searched(subject)[:3]
    subject = losing({})
    subject.first = (Network(route="student", share=0.001),)
    assert ["teacher", "student0_1", "student0_1-static"] == searched(subject)
