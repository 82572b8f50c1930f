"""Counts of how often a number fell between which bounds."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence


class Histogram:
    """Counts per bucket, and the sum of what was observed."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Add one observation, in the instrument's base unit."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Add many observations at once; those of a batch lie in few buckets."""
        if len(values) == 1:
            self.observe(values[0])
            return
        ordered, bounds, counted = sorted(values), self.bounds, 0
        bucket = bisect_left(bounds, ordered[0]) if ordered else 0
        while counted < len(ordered):
            end = bisect_right(ordered, bounds[bucket]) if bucket < len(bounds) else len(ordered)
            self.counts[bucket] += end - counted
            counted, bucket = end, bucket + 1
        self.total += sum(ordered)

    def plus(self, other: "Histogram") -> "Histogram":
        """What both have observed."""
        total = Histogram(self.bounds)
        total.counts = [one + another for one, another in zip(self.counts, other.counts, strict=True)]
        total.total = self.total + other.total
        return total

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bounds and cumulative counts, as Prometheus wants them."""
        counts = self.counts.copy()
        running = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*self.bounds, float("inf")), counts, strict=True):
            running += count
            buckets.append(("+Inf" if bound == float("inf") else repr(bound), running))
        return buckets
