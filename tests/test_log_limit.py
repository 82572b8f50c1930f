"""Bursts of the same line."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from service import log_limit
from service.log_limit import BURST, WINDOW, Event, LogLimit

EVENT = ("error", "can't take a request", "m")


class Clock:
    """Stands still until it is told to go on, and then calls whoever is due."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.told: list[tuple[Event, int]] = []
        monkeypatch.setattr(log_limit, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.limit = LogLimit(
            lambda event, count: self.told.append((event, count)),
            lambda seconds, callback: self.due.append((self.now + seconds, callback)),
        )

    def taken(self, count: int, event: Event = EVENT) -> int:
        """How many of so many lines are written."""
        return sum(self.limit.takes(event) for _ in range(count))

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due, self.due = self.due, []
        for when, callback in due:
            if when <= self.now:
                callback()
            else:
                self.due.append((when, callback))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_a_burst_is_counted_and_told_once(clock: Clock) -> None:
    """The first lines are written, the others are a number as soon as the window is over, also if nothing follows."""
    assert BURST == clock.taken(1000)
    assert [] == clock.told
    clock.pass_by(WINDOW)
    assert [(EVENT, 1000 - BURST)] == clock.told
    assert BURST == clock.taken(1000)
    clock.pass_by(WINDOW)
    assert [(EVENT, 1000 - BURST)] * 2 == clock.told


def test_what_comes_slowly_is_written(clock: Clock) -> None:
    """However long it goes on."""
    for _ in range(50):
        assert BURST == clock.taken(BURST)
        clock.pass_by(WINDOW)
    assert ([], []) == (clock.told, clock.due)


def test_other_lines_are_counted_by_themselves(clock: Clock) -> None:
    """Of another level, event or model."""
    clock.taken(1000)
    for other in (("warning", *EVENT[1:]), ("error", "other", "m"), (*EVENT[:2], "n")):
        assert BURST == clock.taken(BURST, other)


def test_the_end_tells_of_what_is_untold(clock: Clock) -> None:
    """Once: the timer that comes later has nothing to say."""
    clock.taken(BURST + 3)
    clock.limit.flush()
    clock.pass_by(WINDOW)
    assert [(EVENT, 3)] == clock.told


def test_words_that_somebody_makes_up_do_not_add_up(clock: Clock) -> None:
    """What is remembered is bounded, and those whose window is over go first."""
    for number in range(5000):
        clock.limit.takes(("error", "x", str(number)))
    assert len(clock.limit._windows) <= 1024
    clock.pass_by(WINDOW)
    clock.limit.takes(EVENT)
    assert 1 == len(clock.limit._windows)
