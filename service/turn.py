"""One turn of the event loop: what came in it is taken first, and then what it leads to is done.

Reading from sockets, taking requests and forming batches are each a long way through much code. Done in turns for every
request, each finds the processor's caches full of the others'; done one after the other for all that came, a loaded
server gains some percent, and batches hold all that could be in them. And a lone request finds the way to its worker
without another look at the sockets.

gRPC hands its calls on one or two a round of the loop, however many have come. So a turn may be of several rounds.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

_ROUNDS = 8
"""Rounds of the loop that a turn goes on for without anything new: a call of gRPC takes a few."""
_LONGEST = 0.005
"""Seconds that it goes on for at most."""
_TURNS: "WeakKeyDictionary[asyncio.AbstractEventLoop, Turn]" = WeakKeyDictionary()


class Turn:
    """Owns what is still to be done in this turn of one event loop."""

    __slots__ = ("__weakref__", "_due", "_last", "_rounds", "_taken", "_until")

    def __init__(self) -> None:
        self._taken: deque[Callable[[], None]] = deque()
        self._last: deque[Callable[[], None]] = deque()
        self._due = False
        self._rounds = 0  # that this turn is to go on for
        self._until = 0.0

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> "Turn":
        """The one that belongs to `loop`, whoever asks."""
        turn = _TURNS.get(loop)
        if turn is None:
            turn = _TURNS[loop] = cls()
        return turn

    def take(self, callback: Callable[[], None]) -> None:
        """Call it once everything that has arrived is read."""
        self._taken.append(callback)
        if not self._due:
            self._begin()

    def last(self, callback: Callable[[], None]) -> None:
        """Call it once everything is taken."""
        self._last.append(callback)
        if not self._due:
            self._begin()

    def extend(self) -> None:
        """Others are on their way to this turn: it goes on for some rounds, and for some more whenever this is called
        again, but not for long.
        """
        if not self._rounds:
            self._until = time.monotonic() + _LONGEST
        self._rounds = _ROUNDS

    def _goes_on(self) -> bool:
        self._rounds = self._rounds - 1 if time.monotonic() < self._until else 0
        return self._rounds > 0

    def _begin(self) -> None:
        self._due = True
        asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        taken, last = self._taken, self._last
        try:
            while taken:
                taken.popleft()()
            if self._rounds and self._goes_on():
                return
            while last or taken:
                (taken or last).popleft()()
        finally:
            self._due = False
            if taken or last:  # the turn goes on, or one of them has failed: then the others are not to suffer
                self._begin()
