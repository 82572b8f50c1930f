"""Requests that ended more than one worker process, remembered for a while so that a client's retry can't go on."""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from service.engine.inputs_digest import digest_inputs
from service.errors import PoisonRequest

SECONDS = 600.0
_MOST = 1024


class Quarantine:
    """Owns the digests of refused inputs, each for ten minutes. Costs nothing while it is empty."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.until: dict[bytes, float] = {}
        """Until when each is refused; empty for as long as there is nothing to look for."""

    def add(self, inputs: Sequence[NDArray[Any]]) -> None:
        """Refuse these inputs from now on."""
        if len(self.until) >= _MOST:
            del self.until[next(iter(self.until))]
        self.until[_digest(inputs)] = self._clock() + SECONDS

    def holds(self, inputs: Sequence[NDArray[Any]]) -> bool:
        """Whether exactly these inputs are refused now."""
        now = self._clock()
        for digest in [digest for digest, until in self.until.items() if until <= now]:
            del self.until[digest]
        return bool(self.until) and _digest(inputs) in self.until

    def check(self, inputs: Sequence[NDArray[Any]], rows: int, most: int) -> None:
        """Raises PoisonRequest for inputs of so many rows that are refused, be it only a part of them: where there are
        more than `most`, if that isn't 0, parts are computed by themselves.
        """
        if not self.until:
            return
        parts = [inputs]
        if rows > most > 0:
            cuts = [slice(start, start + most) for start in range(0, rows, most)]
            parts = [[array[cut] for array in inputs] for cut in cuts]
        if any(self.holds(part) for part in parts):
            raise PoisonRequest("the worker process ended each time that it held these inputs; try others")


def _digest(inputs: Sequence[NDArray[Any]]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    digest_inputs(digest.update, inputs)
    return digest.digest()
