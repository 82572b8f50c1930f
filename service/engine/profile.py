"""How long a batch takes by its rows: measured when the model is loaded, corrected by what its batches really take.

How fast the machine is today is one factor for the whole curve, because what slows one batch size (neighbours, heat,
other models) slows the others alike. It is what nearly all batches lately kept to, not their mean: so it leaves as much
room as they are spread today, follows bad news at once and good news slowly, and one hiccup leaves no trace. The shape
of the curve is the measurement's, and changes slowly.
"""

import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from math import exp, log

import msgspec

from service.engine.tuning import Tuning

WORTHWHILE = 1.05
"""A batch is doubled as long as its throughput gains at least this factor."""
BETWEEN = 5e-4
"""Seconds that a worker stands still between two batches, about: a larger batch gains that much too."""
NEARLY, LONG = 0.85, 0.75
"""Share of the highest throughput that is as good, as far as two or three rounds at load can tell, and seconds that no
batch should take for its sake.
"""
BENDING = 0.003
"""Share by which a single point of the curve follows what sets its size apart from the others."""
LATELY = 0.1
"""Share by which the mean follows that a size is set apart from. The factor won't do: most batches are faster than it
says, so the sizes in use would sink below the others for ever, and the factor rise to make up for it. Taken of
logarithms, what a mean leaves over and under itself cancels out.
"""
REMEMBERED, EXCUSED = 64, 1
"""The factor is what the last so many batches kept to, but for so many of them."""
OUTLIER = 3.0
"""An observation beyond this many times the prediction counts as this many."""
STALE_SECONDS = 5.0
BELIEVED_WHEN_STALE = 0.1
MOST_STALE = 3
"""After so long without a batch only this share of the prediction is believed, and as much less after as long again, up
to three times: so that a bad moment can't refuse everybody for ever. Somebody gets through, and is measured.
"""


class BucketTime(msgspec.Struct, frozen=True, kw_only=True):
    """What batches of `rows` rows took in the worker: median and 95th percentile, in seconds."""

    rows: int
    median: float
    p95: float


class LatencyProfile:
    """Owns the prediction of one generation's batch times, in seconds, interpolated between measured batch sizes."""

    def __init__(
        self, buckets: Sequence[BucketTime], clock: Callable[[], float] = time.monotonic, *, stepped: bool = False
    ) -> None:
        """`buckets` are sorted by rows and at least one. Times that fall with more rows are taken as noise. With
        `stepped` a batch between two sizes is padded up to the larger one, and takes as long.
        """
        self._stepped = stepped
        self.buckets = tuple(buckets)
        self.best_rows = best_rows(buckets)
        self.tuning = Tuning([bucket.rows for bucket in _short(buckets)], fullest_rows(buckets))
        self.factor = 1.0
        self._mean = 0.0  # of the logarithms of what the factor should have been lately
        self._lately = deque([1.0] * REMEMBERED)
        self._sorted = [1.0] * REMEMBERED
        self._clock = clock
        self._observed = clock()
        self._rows = [bucket.rows for bucket in buckets]
        self._positions = {rows: index for index, rows in enumerate(self._rows)}
        longest = 0.0
        self._seconds = [longest := max(longest, bucket.median) for bucket in buckets]
        self.seconds_alone = self._seconds[0]
        """What a row takes that is computed alone, by what is known since the last batch."""
        self._per_row = self._least_per_row()

    def seconds(self, rows: int) -> float:
        """How long a batch of `rows` rows will take."""
        return self._measured(rows) * self.belief()

    def expected(self, rows: int) -> float:
        """The same, but believed also when nobody has confirmed it for long: for comparing devices."""
        return self._measured(rows) * self.factor

    def seconds_per_row(self) -> float:
        """What a row takes where it takes least, in a batch of the best size."""
        return self._per_row * self.belief()

    def belief(self) -> float:
        """The factor between the measured curve and today's."""
        silence = self._clock() - self._observed
        if silence > STALE_SECONDS:
            return self.factor * BELIEVED_WHEN_STALE ** min(int(silence / STALE_SECONDS), MOST_STALE)
        return self.factor

    def most_rows(self, seconds: float) -> int:
        """The largest batch, up to the largest measured one, that takes at most `seconds`; 0 when not even one row."""
        available = seconds / self.belief()
        rows, times = self._rows, self._seconds
        index = bisect_left(times, available)
        if index == len(times):
            return rows[-1]
        if times[index] == available:
            return rows[index]
        if index == 0:
            return 0 if self._measured(1) > available else int(rows[0] * available / times[0])
        if self._stepped:
            return rows[index - 1]
        share = (available - times[index - 1]) / (times[index] - times[index - 1])
        return int(rows[index - 1] + share * (rows[index] - rows[index - 1]))

    def observe(self, rows: int, seconds: float) -> None:
        """A batch has taken so long."""
        self.tuning.observe(rows, seconds + BETWEEN)
        self._observed = self._clock()
        news = min(seconds / self._measured(rows), self.factor * OUTLIER)
        apart = log(news) - self._mean
        self._mean += apart * LATELY
        self._remember(news)
        self._bend(rows, apart)
        self.seconds_alone = self._seconds[0] * self.factor

    def _remember(self, news: float) -> None:
        """Let the factor follow what it should have been."""
        del self._sorted[bisect_left(self._sorted, self._lately.popleft())]
        self._lately.append(news)
        insort(self._sorted, news)
        self.factor = self._sorted[-1 - EXCUSED]

    def _bend(self, rows: int, apart: float) -> None:
        """Move the point of the curve that is nearest above `rows` a little, as far as its neighbours allow."""
        times = self._seconds
        index = min(bisect_left(self._rows, rows), len(times) - 1)
        moved = times[index] * exp(apart * BENDING)
        least = times[index - 1] if index else 0.0
        most = times[index + 1] if index + 1 < len(times) else float("inf")
        times[index] = min(max(moved, least), most)
        self._per_row = self._least_per_row()

    def _least_per_row(self) -> float:
        return min([seconds / rows for seconds, rows in zip(self._seconds, self._rows, strict=True)])

    def _measured(self, rows: int) -> float:
        """On the measured curve: straight between its points, and through the origin's fixed cost beyond them."""
        points, times = self._rows, self._seconds
        position = self._positions.get(rows)
        if position is not None:
            return times[position]
        index = bisect_left(points, rows)
        if index == len(points):
            return times[-1] * rows / points[-1]
        if index == 0 or self._stepped:
            return times[index]
        share = (rows - points[index - 1]) / (points[index] - points[index - 1])
        return times[index - 1] + share * (times[index] - times[index - 1])


def best_rows(buckets: Sequence[BucketTime]) -> int:
    """The batch size from which on a larger one gains less than WORTHWHILE in throughput."""
    best = buckets[0]
    for bucket in buckets[1:]:
        if _pace(bucket) >= WORTHWHILE * _pace(best):
            best = bucket
    return best.rows


def fullest_rows(buckets: Sequence[BucketTime]) -> int:
    """The largest batch that computes nearly as many rows in a second as any that doesn't take LONG."""
    short = _short(buckets)
    most = max(_pace(bucket) for bucket in short)
    return next(bucket.rows for bucket in reversed(short) if _pace(bucket) >= NEARLY * most)


def _short(buckets: Sequence[BucketTime]) -> Sequence[BucketTime]:
    """Those that don't take LONG, the first at least."""
    return [bucket for bucket in buckets if bucket.median <= LONG] or buckets[:1]


def _pace(bucket: BucketTime) -> float:
    return bucket.rows / (bucket.median + BETWEEN)


def bucket_sizes(max_rows: int) -> tuple[int, ...]:
    """The batch sizes to measure: powers of two up to the maximum, and the maximum itself; one row for 0."""
    sizes = [1]
    while sizes[-1] * 2 <= max_rows:
        sizes.append(sizes[-1] * 2)
    return tuple(sizes) if sizes[-1] >= max_rows else (*sizes, max_rows)
