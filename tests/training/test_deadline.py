"""A deadline: what isn't foreseen to be done by then isn't begun, and a fit that would end too late ends at once."""

import math

import pytest

from tests.training.clock import Clock
from training.deadline import LATE, OVER, Deadline, TimeUp
from training.fitted import Epoch


def epoch(number: int) -> Epoch:
    return Epoch(number=number, train_loss=1.0, validation={})


def told(deadline: Deadline, epochs: int, seconds: float, clock: Clock, *, first: int = 0) -> int:
    """How many epochs are done of a fit that takes so many `seconds` for each."""
    observe = deadline.pace(epochs)
    for number in range(first, epochs):
        clock.now += seconds
        try:
            observe(epoch(number))
        except TimeUp:
            return number + 1
    return epochs


def test_what_takes_longer_than_is_left_is_refused() -> None:
    """With how long it would take; afterwards everything is, and without an end nothing."""
    clock = Clock()
    deadline = Deadline.of(2, clock)
    deadline.check(120)
    clock.now += 60
    with pytest.raises(TimeUp, match=r"would take about 2\.0 min, and 1\.0 min are left for it"):
        deadline.check(120)
    with pytest.raises(TimeUp, match="would take about 45 s, and 30 s are left for it"):
        deadline.before(30).check(45)
    clock.now += 60
    with pytest.raises(TimeUp, match="no time is left for it"):
        deadline.check()
    with pytest.raises(TimeUp):
        OVER.check()
    Deadline.of(None, clock).before(1e9).check(1e9)


def test_a_fit_ends_as_soon_as_it_is_foreseen_to_end_too_late() -> None:
    """After its first epoch, not when the time is up; what may be a few percent late goes on."""
    clock = Clock()
    assert 1 == told(Deadline.of(10, clock), 10, 80, clock)
    clock = Clock()
    assert 10 == told(Deadline.of(10, clock), 10, 60 * (1 + LATE), clock)
    assert 10 == told(Deadline(), 10, math.inf, clock)


def test_epochs_of_an_earlier_call_say_nothing_of_the_pace() -> None:
    """A fit that goes on from its checkpoint has fewer before it."""
    clock = Clock()
    assert 10 == told(Deadline.of(10, clock), 10, 80, clock, first=4)


def test_the_last_epoch_is_never_too_late() -> None:
    """What is finished is kept, however long it took."""
    clock = Clock()
    assert 1 == told(Deadline.of(1, clock), 1, 600, clock)
