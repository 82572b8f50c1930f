"""How many requests may be in one step of an ensemble at a time: `max_inflight_requests`."""

from collections.abc import Callable, Hashable

from service.errors import QueueFull


class Gate:
    """Owns the places in one step; who finds none waits, and the first who waits gets the next one that is left.

    `limit` is 0 for as many places as are wanted; `most` is how many may wait.
    """

    def __init__(self, limit: int, most: int) -> None:
        self._limit = limit
        self._most = most
        self._inside = 0
        self._waiting: dict[Hashable, Callable[[], None]] = {}

    def enter(self, who: Hashable, go: Callable[[], None]) -> bool:
        """Take a place; False if there is none: then `go` is called when `who` has got one. Raises QueueFull."""
        if self._limit and self._inside >= self._limit:
            if len(self._waiting) >= self._most:
                raise QueueFull(f"{len(self._waiting)} requests wait for the step, the limit is {self._most}")
            self._waiting[who] = go
            return False
        self._inside += 1
        return True

    def leave(self) -> None:
        """Give a place back, or hand it to who waits for one."""
        if self._waiting:
            self._waiting.pop(next(iter(self._waiting)))()
        else:
            self._inside -= 1

    def withdraw(self, who: Hashable) -> None:
        """Wait no longer."""
        self._waiting.pop(who, None)
