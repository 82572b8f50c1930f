"""Which batch size computes most in a second: found out under load, where a measurement at load was a moment's.

Machines that others use too change their pace from one second to the next, by more than batch sizes differ. So sizes
are compared while they are used: now and then a batch has half or twice the usual size, and is held against the usual
one just before it. Nine such pairs decide, or the first four where all speak for a larger size: that is mostly the
better one, and each step up takes time that is computed at the slower pace.
"""

from collections.abc import Sequence
from statistics import median

PAIRS, UNANIMOUS = 9, 4
LARGER, SMALLER = 1.03, 0.93
"""Time of a row, as a share of what it takes in batches of the usual size, below which another size takes over: of two
that are alike the larger, which leaves the front more time. They lie apart since the median of nine pairs is uncertain
by more than sizes differ, and a size that changes by chance is mostly not the best.
"""
SOONEST, SELDOMEST = 3, 48
"""Batches of the usual size between two others; the gap doubles each time that a comparison changes nothing."""


class Tuning:
    """Owns the usual size, which is one of `sizes` (rising), and what was found out about those beside it."""

    def __init__(self, sizes: Sequence[int], usual: int) -> None:
        self._sizes = tuple(sizes)
        self._index = self._sizes.index(usual)
        self._up = True  # the next to be tried is the larger one
        self._gap = self._left = SOONEST
        self._pace = 0.0  # seconds a row in the last batch, if that was of the usual size
        self._found: dict[int, list[float]] = {}

    @property
    def usual(self) -> int:
        """The size that has proved best so far."""
        return self._sizes[self._index]

    def next(self) -> int:
        """The size for the next batch, of those that may have any."""
        other = self._other()
        return self.usual if other is None or self._left > 0 or not self._pace else other

    def within(self, most: int) -> int:
        """The largest of the sizes that is `most` at most; 0 where none is."""
        return max([size for size in self._sizes if size <= most], default=0)

    def observe(self, rows: int, seconds: float) -> None:
        """A batch has taken so long."""
        if rows == self.usual:
            self._pace = seconds / rows
            self._left -= 1
            return
        usual, self._pace = self._pace, 0.0
        if rows == self._other() and usual and self._left <= 0:
            self._left, self._up = self._gap, not self._up
            self._compare(rows, seconds / rows / usual)

    def _other(self) -> int | None:
        """The size that is to be tried next; None where there is no other."""
        index = self._index + (1 if self._up else -1)
        if not 0 <= index < len(self._sizes):
            index = 2 * self._index - index
        return self._sizes[index] if 0 <= index < len(self._sizes) else None

    def _compare(self, rows: int, ratio: float) -> None:
        ratios = self._found.setdefault(rows, [])
        ratios.append(ratio)
        larger = rows > self.usual
        if len(ratios) < PAIRS and not (larger and len(ratios) == UNANIMOUS and max(ratios) < LARGER):
            return
        if median(ratios) < (LARGER if larger else SMALLER):
            self._index = self._sizes.index(rows)
            self._found.clear()
            self._pace, self._gap = 0.0, SOONEST
        else:
            ratios.clear()
            self._gap = min(2 * self._gap, SELDOMEST)
