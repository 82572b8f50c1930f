"""What waits for a worker, in the order in which it will be taken."""

from collections import deque
from collections.abc import Iterator, Sequence

from service.engine.exchange import Exchange
from service.engine.scheduling.batch import Batch
from service.errors import QueueFull
from service.metrics import ModelMetrics

_DEAD_TOLERATED = 64


class RequestQueue:
    """Owns a model's waiting exchanges, first come first served, and ahead of them the batches to be tried again.

    Bounded in requests and in bytes. An exchange that ends while it waits leaves the count at once and the deque when
    its turn comes, or when the dead outnumber the living.
    """

    def __init__(self, metrics: ModelMetrics, *, max_requests: int, max_bytes: int, shapes_vary: bool) -> None:
        self._metrics = metrics
        self._shapes_vary = shapes_vary
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._exchanges: deque[Exchange] = deque()
        self._retries: deque[Batch] = deque()
        self._count = 0
        self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Exchange]:
        """All that is waiting."""
        for batch in self._retries:
            yield from batch.alive()
        yield from (exchange for exchange in self._exchanges if not exchange.ended)

    def push(self, exchange: Exchange) -> None:
        """Add one at the end. Raises QueueFull."""
        if self._count >= self._max_requests:
            raise QueueFull(f"{self._count} requests are waiting, the limit of this model's queue")
        if self._bytes + exchange.nbytes > self._max_bytes:
            raise QueueFull(f"{self._bytes} bytes are waiting; {exchange.nbytes} more exceed this model's queue")
        self._exchanges.append(exchange)
        self._count += 1
        self._bytes += exchange.nbytes
        self._metrics.pending = self._count

    def push_again(self, batches: Sequence[Batch]) -> None:
        """Put batches that were taken before ahead of everything else; they have been admitted, so no bound applies."""
        for batch in batches:
            for exchange in batch.exchanges:
                exchange.started = 0.0
                self._count += 1
                self._bytes += exchange.nbytes
        self._metrics.pending = self._count
        self._retries.extend(batches)

    def leave(self, exchange: Exchange) -> None:
        """It ended while it waited: it doesn't count any more."""
        self._count -= 1
        self._bytes -= exchange.nbytes
        self._metrics.pending = self._count
        if len(self._exchanges) > 2 * self._count + _DEAD_TOLERATED:
            self._exchanges = deque(waiting for waiting in self._exchanges if not waiting.ended)

    def take(self, limit: int, now: float) -> Batch | None:
        """The next batch of at most `limit` rows (0: one request), marked as started. None when nothing waits."""
        batch = self._next_retry() or self._next(limit)
        if batch:
            self._count -= len(batch.exchanges)
            for exchange in batch.exchanges:
                exchange.started = now
                self._bytes -= exchange.nbytes
            self._metrics.pending = self._count
        return batch

    @property
    def oldest(self) -> float | None:
        """When the first in the queue was admitted; None when a batch to be tried again, or nothing, is waiting."""
        while self._exchanges and self._exchanges[0].ended:
            self._exchanges.popleft()
        return None if self._retries or not self._exchanges else self._exchanges[0].admitted

    def _next_retry(self) -> Batch | None:
        while self._retries:
            alive = self._retries.popleft().alive()
            if alive:
                return Batch(alive)
        return None

    def _next(self, limit: int) -> Batch | None:
        taken: list[Exchange] = []
        passed: list[Exchange] = []
        rows = 0
        while self._exchanges and (not taken or rows < limit):
            exchange = self._exchanges.popleft()
            if exchange.ended:
                continue
            if taken and self._shapes_vary and not _alike(taken[0], exchange):
                passed.append(exchange)
                continue
            if taken and rows + exchange.rows > limit:
                passed.append(exchange)
                break
            taken.append(exchange)
            rows += exchange.rows
        self._exchanges.extendleft(reversed(passed))
        return Batch(taken) if taken else None


def _alike(one: Exchange, other: Exchange) -> bool:
    """Whether two requests can be rows of one array: all dimensions but the first agree, input by input."""
    return all(a.shape[1:] == b.shape[1:] for a, b in zip(one.inputs, other.inputs, strict=True))
