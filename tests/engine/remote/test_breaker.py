"""The circuit breaker and the retry budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.remote.breaker import FAILURES, Breaker
from service.engine.remote.retry_budget import RESERVE, SHARE, RetryBudget
from service.errors import NotReady


def breaker() -> tuple[Breaker, list[bool]]:
    """A breaker, and whether it was ready after each change."""
    changes: list[bool] = []
    made = Breaker(lambda: changes.append(made.ready))
    return made, changes


def test_opens_after_failures_in_a_row() -> None:
    """An answer in between starts the count anew."""
    made, changes = breaker()
    for _ in range(FAILURES - 1):
        made.failed()
    made.answered()
    for _ in range(FAILURES - 1):
        made.failed()
    assert made.ready
    made.failed()

    assert [False] == changes
    with pytest.raises(NotReady):
        made.admit()


def test_half_open_lets_one_through() -> None:
    """The one decides: its answer closes the breaker, its failure opens it, and if it is given up another follows."""
    made, changes = breaker()
    made.trip()
    made.recovered()
    made.admit()
    with pytest.raises(NotReady):
        made.admit()
    made.given_up()
    made.admit()
    made.failed()
    made.recovered()
    made.admit()
    made.answered()
    for _ in range(3):
        made.admit()

    assert [False, True, False, True, True] == changes


@given(st.lists(st.sampled_from(["admit", "answered", "failed", "given_up", "trip", "recovered"])))
def test_breaker_is_never_stuck(steps: list[str]) -> None:
    """Whatever happened, a recovery and an answered trial let everybody through again."""
    made, _ = breaker()
    for step in steps:
        try:
            getattr(made, step)()
        except NotReady:
            continue
    made.given_up()
    made.recovered()
    made.admit()
    made.answered()
    made.admit()
    made.admit()

    assert made.ready


@given(st.lists(st.booleans(), max_size=500))
def test_budget(requests: list[bool]) -> None:
    """However requests and retries mix, there are no more retries than the reserve and a share of the requests."""
    budget = RetryBudget()
    retries = 0
    for request in requests:
        if request:
            budget.earn()
        else:
            retries += budget.spend()

    assert retries <= RESERVE + SHARE * sum(requests)
