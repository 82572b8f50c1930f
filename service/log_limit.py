"""How often the log says the same: who can cause a line can cause thousands."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

BURST = 10
"""Lines of one event that are written within WINDOW seconds; the others are counted."""
WINDOW = 10.0
_MOST = 1024

Event: TypeAlias = tuple[str, str, str]
"""What counts as the same: level, text, and whom it is about."""


@dataclass(slots=True)
class _Window:
    since: float
    count: int = 0
    suppressed: int = 0


class LogLimit:
    """Owns how many lines of each event were written lately. `tell` hears of those that weren't, once their window is
    over; `later` calls a function after so many seconds. Lines come from any thread.
    """

    def __init__(
        self, tell: Callable[[Event, int], None], later: Callable[[float, Callable[[], None]], None] | None = None
    ) -> None:
        self._tell = tell
        self._later = later or _timer
        self._windows: dict[Event, _Window] = {}
        self._lock = threading.Lock()

    def takes(self, event: Event) -> bool:
        """Whether one more line of this event is to be written."""
        now = time.monotonic()
        with self._lock:
            window = self._windows.get(event)
            if window is None or (now - window.since >= WINDOW and not window.suppressed):
                if len(self._windows) >= _MOST:
                    self._forget(now)
                window = self._windows[event] = _Window(now)
            window.count += 1
            if window.count <= BURST:
                return True
            window.suppressed += 1
            first = window.suppressed == 1
        if first:
            self._later(max(window.since + WINDOW - now, 0.0), partial(self._end, event))
        return False

    def flush(self) -> None:
        """Tell of all now: nothing is logged any more."""
        for event in list(self._windows):
            self._end(event)

    def _end(self, event: Event) -> None:
        with self._lock:
            window = self._windows.pop(event, None)
        if window and window.suppressed:
            self._tell(event, window.suppressed)

    def _forget(self, now: float) -> None:
        """Windows that are over; the oldest where none is, which would be one that somebody floods with other words."""
        over = [
            event for event, window in self._windows.items() if now - window.since >= WINDOW and not window.suppressed
        ]
        for event in over or [next(iter(self._windows))]:
            del self._windows[event]


def _timer(seconds: float, callback: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, callback)
    timer.daemon = True
    timer.start()
