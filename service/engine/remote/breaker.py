"""Whether a remote server is worth trying."""

from collections.abc import Callable
from enum import Enum

from service.errors import NotReady

FAILURES = 5
"""Connection failures in a row that open the breaker."""


class State(Enum):
    """CLOSED lets everybody through, OPEN nobody, HALF_OPEN one at a time until one has come back."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Owns the verdict on one remote model; `changed` is called after each change of it.

    Half-open counts as ready: a balancer that sends nothing to models that aren't ready would never send the request
    that closes it.

    Source: M. Nygard, "Release It!", 2007, chapter 5.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.failures = 0
        self._state = State.CLOSED
        self._trying = False
        self._changed = changed

    @property
    def ready(self) -> bool:
        """Whether requests are let through, be it one at a time."""
        return self._state is not State.OPEN

    def check(self) -> None:
        """Raises NotReady while nobody is let through."""
        if self._state is State.OPEN:
            raise NotReady("the remote server doesn't answer; it is asked again in the background")

    def admit(self) -> None:
        """Let a request through, which is then to be told as one of the following. Raises NotReady."""
        self.check()
        if self._state is State.HALF_OPEN:
            if self._trying:
                raise NotReady("the remote server has just come back, and is tried with one request first")
            self._trying = True

    def answered(self) -> None:
        """The remote answered, be it with an error."""
        self.failures = 0
        self._trying = False
        if self._state is State.HALF_OPEN:
            self._become(State.CLOSED)

    def failed(self) -> None:
        """The connection failed."""
        self.failures += 1
        self._trying = False
        if self._state is State.HALF_OPEN or self.failures >= FAILURES:
            self.trip()

    def given_up(self) -> None:
        """Nobody waited for the answer, so nothing is known."""
        self._trying = False

    def trip(self) -> None:
        """The remote can't compute, for certain."""
        self._become(State.OPEN)

    def recovered(self) -> None:
        """A probe found the remote ready: try it with a request."""
        if self._state is State.OPEN:
            self.failures = 0
            self._become(State.HALF_OPEN)

    def _become(self, state: State) -> None:
        if state is not self._state:
            self._state = state
            self._trying = False
            self._changed()
