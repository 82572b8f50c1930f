"""Time that passes only while everybody waits, so that what a test says of times holds on a busy machine too."""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec
from unittest.mock import patch

P = ParamSpec("P")


class _Clock(selectors.DefaultSelector):
    """Instead of waiting it goes forward at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            self.now += timeout or 0.0
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: _Clock) -> None:
        self._clock = clock
        super().__init__(clock)

    def time(self) -> float:
        return self._clock.now


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that runs on a loop of its own, whose clock `time.monotonic` tells meanwhile."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        clock = _Clock()
        with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner, patch("time.monotonic", lambda: clock.now):
            runner.run(test(*args, **kwargs))

    return run
