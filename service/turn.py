"""One turn of the event loop: what came in it is taken first, and then what it leads to is done.

Reading from sockets, taking requests and forming batches are each a long way through much code. Done in turns for every
request, each finds the processor's caches full of the others'; done one after the other for all that came, a loaded
server gains some percent, and batches hold all that could be in them. And a lone request finds the way to its worker
without another look at the sockets.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

_TURNS: "WeakKeyDictionary[asyncio.AbstractEventLoop, Turn]" = WeakKeyDictionary()


class Turn:
    """Owns what is still to be done in this turn of one event loop."""

    __slots__ = ("__weakref__", "_due", "_last", "_taken")

    def __init__(self) -> None:
        self._taken: deque[Callable[[], None]] = deque()
        self._last: deque[Callable[[], None]] = deque()
        self._due = False

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

    def _begin(self) -> None:
        self._due = True
        asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        taken, last = self._taken, self._last
        try:
            while True:
                while taken:
                    taken.popleft()()
                if not last:
                    break
                last.popleft()()
        finally:
            self._due = False
            if taken or last:  # one of them has failed, which the loop reports; the others are not to suffer
                self._begin()
