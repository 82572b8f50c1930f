"""What Triton's statistics extension tells of a model: how often, and how long altogether."""

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class BatchTimes:
    """Batches of one size, and the seconds that their phases took: input, infer, output."""

    count: int = 0
    phases: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(slots=True)
class Statistics:
    """Owns the sums over the requests of one generation; all times are in seconds.

    `phases` are sums over requests: each of a batch has taken as long as the batch. `batches` are by rows.
    `last_inference` is in seconds since the epoch, 0 before the first; `latest` are the phases of that batch. What
    looking for answers in the response cache took is summed apart for those that were there and for those that had to
    be computed, and put there.
    """

    successes: int = 0
    success_seconds: float = 0.0
    failures: int = 0
    failure_seconds: float = 0.0
    computed_requests: int = 0
    phases: tuple[float, float, float] = (0.0, 0.0, 0.0)
    batches: dict[int, BatchTimes] = field(default_factory=dict)
    last_inference: float = 0.0
    latest: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cache_hit_seconds: float = 0.0
    cache_miss_seconds: float = 0.0

    def ended(self, count: int, seconds: float, *, well: bool) -> None:
        """So many requests have ended, after so long altogether."""
        if well:
            self.successes += count
            self.success_seconds += seconds
        else:
            self.failures += count
            self.failure_seconds += seconds

    def computed(self, requests: int, rows: int, phases: tuple[float, float, float]) -> None:
        """A batch of so many requests and rows was computed."""
        self.last_inference = time.time()
        self.latest = phases
        self.computed_requests += requests
        first, second, third = phases
        one, two, three = self.phases
        self.phases = (one + first * requests, two + second * requests, three + third * requests)
        times = self.batches.get(rows)
        if times is None:
            times = self.batches[rows] = BatchTimes()
        times.count += 1
        one, two, three = times.phases
        times.phases = (one + first, two + second, three + third)
