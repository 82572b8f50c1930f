"""What any strategy of a search has to keep to, whatever it tries: random subjects, asked by the `Subject` protocol."""

import hashlib
import math
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.training.compression.search.doubles import DoubleSubject
from training.compression.search.budget import OBJECTIVES, Budget, gained
from training.compression.search.design import Design
from training.compression.search.explore import Search
from training.compression.search.front import choose, front
from training.compression.search.trial import Trial
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16

ENOUGH = 2000
"""Variants that no search may try: it has to come to an end."""


def chance(seed: int, what: str, design: Design) -> float:
    """A number in [0, 1) that is always the same for a design."""
    digest = hashlib.sha256(f"{seed} {what} {design}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@st.composite
def subjects(draw: st.DrawFn) -> Callable[[int], DoubleSubject]:
    """Subjects whose time is up after as many trials as they are told. Smaller networks tend to lose and gain more."""
    seed, wild, fragile = draw(st.integers(0, 10**6)), draw(st.floats(0, 1)), draw(st.floats(0, 1))
    remedies = draw(st.lists(st.sampled_from(["hinted", "assisted"]), unique=True))
    routes: Any = dict.fromkeys(draw(st.lists(st.sampled_from(["pruned", "student"]), unique=True)), remedies)
    numbers = draw(st.lists(st.sampled_from(["static", "dynamic", "weights8"]), unique=True))
    runtimes = [ONNX_RUNTIME, *draw(st.lists(st.sampled_from([OPENVINO, OPENVINO_BF16]), unique=True))]

    def make(most: int) -> DoubleSubject:
        return DoubleSubject(
            lost=lambda one: wild * (chance(seed, "lost", one) - 0.3) + 0.02 * (1 - one.network.share),
            faster=lambda one: math.exp(2 * wild * (chance(seed, "faster", one) - 0.5)) / one.network.share,
            failing=lambda one: one != Design() and chance(seed, "fails", one) < fragile,
            routes=routes,
            numbers=numbers,
            runtimes=runtimes,
            most=most,
        )

    return make


budgets = st.builds(
    Budget, max_drop=st.floats(0, 0.3), objective=st.sampled_from(list(OBJECTIVES)), at_least=st.floats(0.5, 20)
)


def searched(subject: DoubleSubject, budget: Budget) -> tuple[Search, str]:
    search = Search(subject, budget)
    return search, search.run()


@given(make=subjects(), budget=budgets)
def test_every_search_ends_with_a_result(make: Callable[[int], DoubleSubject], budget: Budget) -> None:
    """The teacher comes first and is within the budget, whatever fails; no variant is tried twice."""
    search, ended = searched(make(ENOUGH), budget)
    assert "done" == ended
    assert Design() == search.trials[0].design
    assert search.trials[0].within(budget)
    names = [one.name for one in search.trials]
    assert len(set(names)) == len(names)
    choice = choose(search.trials, budget)
    assert choice.chosen in search.trials
    assert choice.chosen.within(budget)
    assert choice.met == (gained(choice.chosen.gain, budget.objective) >= budget.at_least)
    assert choice.nearest is None or (choice.nearest in search.trials and not choice.nearest.failed)


@given(make=subjects(), budget=budgets, seed=st.integers(0, 10**6), rare=st.floats(0, 1))
def test_whatever_there_is_no_time_for_every_search_ends(
    make: Callable[[int], DoubleSubject], budget: Budget, seed: int, rare: float
) -> None:
    """With a result, and saying whether the time was too short; no variant is tried twice."""
    subject, short = make(ENOUGH), []

    def late(design: Design) -> bool:
        if found := design != Design() and chance(seed, "late", design) < rare:
            short.append(design)
        return found

    subject.late = late
    search, ended = searched(subject, budget)
    assert ("time" if short else "done") == ended
    names = [one.name for one in search.trials]
    assert len(set(names)) == len(names)
    assert choose(search.trials, budget).chosen.within(budget)


def beats(one: Trial, other: Trial, budget: Budget) -> bool:
    """As good in both what is lost, as far as that is told, and what is gained, and better in one."""
    gains = (gained(one.gain, budget.objective), gained(other.gain, budget.objective))
    lost = (round(one.drop, 4), round(other.drop, 4))
    return lost[0] <= lost[1] and gains[0] >= gains[1] and (lost[0] < lost[1] or gains[0] > gains[1])


@given(make=subjects(), budget=budgets)
def test_nothing_in_the_front_is_beaten(make: Callable[[int], DoubleSubject], budget: Budget) -> None:
    """It is never empty, has nothing that failed, and all that isn't in it is beaten or equalled by what is."""
    search, _ = searched(make(ENOUGH), budget)
    kept = front(search.trials, budget.objective)
    made = [one for one in search.trials if not one.failed]
    assert kept
    assert all(one in made for one in kept)
    assert not [(one, other) for one in kept for other in made if beats(other, one, budget)]


@given(make=subjects(), budget=budgets, most=st.integers(1, 60))
def test_a_search_that_goes_on_tries_the_same(make: Callable[[int], DoubleSubject], budget: Budget, most: int) -> None:
    """Whenever its time is up: what it had tried comes first, in the same order and to the same, before what is new."""
    before, ended = searched(make(most), budget)
    after, _ = searched(make(ENOUGH), budget)
    assert after.trials[: len(before.trials)] == before.trials
    assert ended == "time" or after.trials == before.trials
    assert choose(before.trials, budget).chosen.within(budget)
