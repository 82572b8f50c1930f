"""What the requests of a loop came to."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.client.connection import BROKEN

SKIPPED, UNANSWERED = -1, -2
"""In place of a status: not sent, because too many were in flight; sent, and no answer within the patience."""

OK = 200
NAMES = {BROKEN: "broken", SKIPPED: "skipped", UNANSWERED: "unanswered"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A status for every scheduled request, and seconds from its scheduled time until the whole answer was there.

    In a closed loop a request is scheduled for the moment at which it is sent, and `seconds` end with the last answer.
    `lags` are the seconds by which the generator came late to its requests: its own fault, and part of the latencies.
    What a connection takes to be opened for one isn't in them.
    Latencies and lags of requests that have none are nan.
    """

    seconds: float
    statuses: NDArray[np.int16]
    latencies: NDArray[np.float64]
    lags: NDArray[np.float64]

    @property
    def offered(self) -> float:
        """Scheduled requests per second."""
        return len(self.statuses) / self.seconds

    def counts(self) -> dict[str, int]:
        """Requests by status."""
        found = Counter(int(status) for status in self.statuses)
        return {NAMES.get(status, str(status)): found[status] for status in sorted(found, reverse=True)}

    def count(self, statuses: Collection[int]) -> int:
        """Requests that ended with one of `statuses`."""
        return int(self._with(statuses).sum())

    def goodput(self, within: float) -> float:
        """Requests per second that were answered with 200 within so many seconds of their scheduled time."""
        return int((self._with((OK,)) & (self.latencies <= within)).sum()) / self.seconds

    def percentiles(self, statuses: Collection[int], points: Sequence[float]) -> list[float]:
        """Of the latencies of `statuses`, in seconds; nan when there were none."""
        return _percentiles(self.latencies[self._with(statuses)], points)

    def lag(self, point: float) -> float:
        """A percentile of the lags, in seconds."""
        return _percentiles(self.lags[~np.isnan(self.lags)], (point,))[0]

    def _with(self, statuses: Collection[int]) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = np.isin(self.statuses, list(statuses))
        return found


def _percentiles(values: NDArray[Any], points: Sequence[float]) -> list[float]:
    if not len(values):
        return [float("nan")] * len(points)
    return [float(value) for value in np.percentile(values, points)]
