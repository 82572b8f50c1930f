"""What waits for a worker, in the order in which it will be taken."""

import math
from bisect import bisect, insort
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from service.artifact.queue_policy import QueuePolicy
from service.engine.exchange import Exchange
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.foresight import Foresight, milliseconds
from service.engine.scheduling.outlook import Outlook
from service.errors import QueueFull
from service.metrics import ModelMetrics

AGEING_SECONDS = 1.0
"""Waiting so long is worth one priority level, up to the first, so that no level starves."""
PASSED_OVER = 5.0
"""Seconds after which nobody who comes goes before one that waits in the same level, however soon they are due."""
_DEAD_TOLERATED = 64


@dataclass(slots=True)
class _Level:
    """The waiting exchanges of one priority level in the order of their places; `delayed` ones after all others.

    A place is the deadline, or PASSED_OVER seconds after the admission where that is earlier. Entries carry a running
    number, so that equal places keep the order of arrival. Exchanges that were taken or have ended are still in the
    lists for a while: `rows` and `count` don't count them. `most` may wait, parts that ride left aside, which are
    `riding`.
    """

    most: int
    waiting: list[tuple[float, int, Exchange]]
    delayed: list[tuple[float, int, Exchange]]
    count: int = 0
    rows: int = 0
    riding: int = 0

    def entries(self) -> Iterator[tuple[bool, float, int, Exchange]]:
        """What really waits, in order: whether it is delayed, place, number, exchange."""
        for delayed, entries in ((False, self.waiting), (True, self.delayed)):
            for place, number, exchange in entries:
                if _waits(exchange):
                    yield delayed, place, number, exchange

    def first(self, most: int) -> list[Exchange]:
        """The same in a list, `most` at most."""
        if len(self.waiting) == self.count and not self.delayed:  # nobody has ended, nobody is delayed
            return [entry[2] for entry in self.waiting[:most]]
        return [entry[3] for entry in islice(self.entries(), most)]

    def leave(self, exchanges: Sequence[Exchange], rows: int) -> None:
        """These, which have so many rows, don't wait any more."""
        self.count -= len(exchanges)
        self.rows -= rows
        if self.riding:
            self.riding -= sum([exchange.rides for exchange in exchanges])

    def remove(self, exchange: Exchange) -> None:
        """Forget one that has ended, with all that it holds."""
        place = _place(exchange.admitted, exchange.deadline)
        for entries in (self.waiting, self.delayed):
            index = bisect(entries, (place,))
            while index < len(entries) and entries[index][0] == place:
                if entries[index][2] is exchange:
                    del entries[index]
                    return
                index += 1

    def sweep(self) -> None:
        """Forget what is gone, when that is all or most of it, or stands at the front."""
        waiting = self.waiting
        if not self.count:  # the commonest case: one batch was all that waited
            waiting.clear()
            self.delayed.clear()
            return
        gone = 0
        for _, _, exchange in waiting:
            if _waits(exchange):
                break
            gone += 1
        del waiting[:gone]
        if len(waiting) + len(self.delayed) > 2 * self.count + _DEAD_TOLERATED:
            self.waiting = [entry for entry in waiting if _waits(entry[2])]
            self.delayed = [entry for entry in self.delayed if _waits(entry[2])]


class RequestQueue:
    """Owns a model's waiting exchanges by priority level, and ahead of them the batches to be tried again.

    `policies` has one entry per level, the first level first. Every level is bounded in requests (one that was split
    is one), all of them together in bytes. An exchange that ends while it waits leaves the counts at once and the lists
    when its turn comes.

    The earliest deadline goes first within a level, and nobody starves: one that waits rises a level every
    AGEING_SECONDS, and within the first level it is passed over for PASSED_OVER seconds at most. Delayed ones don't
    age: as in Triton, they go after all others of their own and of more important levels, as long as such wait, and
    before those of less important ones. Only their deadlines end that.
    """

    def __init__(
        self, metrics: ModelMetrics, *, policies: Sequence[QueuePolicy], max_requests: int, max_bytes: int
    ) -> None:
        self._levels = [_Level(policy.max_queue_size or max_requests, [], []) for policy in policies]
        self._max_bytes = max_bytes
        self._retries: deque[Batch] = deque()
        self._number = 0
        self._count = 0
        self.rows = 0
        """Rows of all that is waiting."""
        self._bytes = 0
        self.foresight: Foresight | Outlook | None = None
        """Tells those that are refused what they would have waited for; None where nothing is foreseen."""
        metrics.pending, metrics.waiting_since = self.__len__, self._waiting_since

    def __len__(self) -> int:
        return self._count

    def _waiting_since(self) -> float:
        """See `ModelMetrics`. Lists are copied first: the event loop goes on changing them."""
        lists = [list(entries) for level in self._levels for entries in (level.waiting, level.delayed)]
        waiting = [entry[2].admitted for entries in lists for entry in entries if _waits(entry[2])]
        waiting += [exchange.admitted for batch in list(self._retries) for exchange in batch.alive()]
        return min(waiting, default=math.inf)

    def __iter__(self) -> Iterator[Exchange]:
        """All that is waiting."""
        for batch in self._retries:
            yield from batch.alive()
        for level in self._levels:
            for entry in level.entries():
                yield entry[3]

    def push(self, exchange: Exchange) -> None:
        """Add one in its level, in its place. Raises QueueFull."""
        level = self._levels[exchange.level]
        requests = level.count - level.riding
        if requests >= level.most:
            text = f"{requests} requests are waiting, the limit of this model's queue is {level.most}"
            raise self._full(text, exchange)
        nbytes = self._bytes + exchange.nbytes
        if nbytes > self._max_bytes:
            text = f"{self._bytes} bytes are waiting; {exchange.nbytes} more exceed this model's queue"
            raise self._full(text, exchange)
        self._number += 1
        waiting, rows, place = level.waiting, exchange.rows, exchange.admitted + PASSED_OVER
        if exchange.deadline < place:  # noqa: PLR1730  # as `_place`, but three times as fast, for every request
            place = exchange.deadline
        if not waiting or place >= waiting[-1][0]:
            waiting.append((place, self._number, exchange))
        else:
            insort(waiting, (place, self._number, exchange))
        level.count += 1
        level.rows += rows
        if exchange.rides:
            level.riding += 1
        self.rows += rows
        self._bytes = nbytes
        self._count += 1

    def _full(self, text: str, exchange: Exchange) -> QueueFull:
        if self.foresight is None:
            return QueueFull(text)
        wait = self.foresight.wait(exchange.rows, self.rows, exchange.admitted)
        return QueueFull(f"{text}; behind them it would be finished in {milliseconds(wait)}", wait)

    def push_again(self, batches: Sequence[Batch]) -> None:
        """Put batches that were taken before ahead of everything else.

        They have been admitted, so no bound applies, and were taken in time, so that only their deadlines end the wait.
        """
        for batch in batches:
            for exchange in batch.exchanges:
                exchange.started = 0.0
                exchange.expires = math.inf
                exchange.again = True
                self._count += 1
                self.rows += exchange.rows
                self._bytes += exchange.nbytes
        self._retries.extend(batches)

    def leave(self, exchange: Exchange) -> None:
        """It ended while it waited: it doesn't count any more."""
        self.rows -= exchange.rows
        self._bytes -= exchange.nbytes
        self._count -= 1
        if exchange.again:
            self._retries = deque(batch for batch in self._retries if batch.alive())
        else:
            level = self._levels[exchange.level]
            level.leave((exchange,), exchange.rows)
            level.remove(exchange)

    def delay(self, exchanges: Collection[Exchange]) -> None:
        """These have waited too long for their policies: they go behind all others of their levels."""
        late = set(map(id, exchanges))
        for level in self._levels:
            level.delayed += [entry for entry in level.waiting if id(entry[2]) in late]
            level.delayed.sort()
            level.waiting = [entry for entry in level.waiting if id(entry[2]) not in late]

    def retry(self) -> Batch | None:
        """The next batch that is to be tried again, marked as none yet; None when there is none."""
        while self._retries:
            alive = self._retries.popleft().alive()
            if alive:
                return Batch(alive)
        return None

    @property
    def has_retries(self) -> bool:
        """Whether batches are to be tried again."""
        return bool(self._retries)

    def first(self, most: int, now: float) -> list[Exchange]:
        """At most so many of what waits for the first time, in the order in which it should be computed at `now`."""
        if len(self._levels) == 1:
            return self._levels[0].first(most)
        ranked = [
            (number if entry[0] else max(number - (now - entry[3].admitted) // AGEING_SECONDS, 0), *entry)
            for number, level in enumerate(self._levels)
            for entry in level.entries()
        ]
        ranked.sort()
        return [entry[4] for entry in ranked[:most]]

    def taken(self, batch: Batch, now: float) -> None:
        """These have left for a worker."""
        exchanges, levels = batch.exchanges, self._levels
        nbytes = 0
        for exchange in exchanges:
            exchange.started = now
            nbytes += exchange.nbytes
        self.rows -= batch.rows
        self._bytes -= nbytes
        self._count -= len(exchanges)
        if exchanges[0].again:
            return  # so are the others: a batch is tried again without company
        if len(levels) == 1:
            levels[0].leave(exchanges, batch.rows)
        else:
            for exchange in exchanges:
                levels[exchange.level].leave((exchange,), exchange.rows)
        for level in levels:
            level.sweep()

    def rows_before(self, number: int, now: float, deadline: float) -> int:
        """Rows that would be computed before a request of this level that came now; that others rise is left aside."""
        rows = sum([one.rows for batch in self._retries for one in batch.alive()]) if self._retries else 0
        if number:
            rows += sum([level.rows for level in self._levels[:number]])
        level, place = self._levels[number], _place(now, deadline)
        if not level.delayed and (not level.waiting or level.waiting[-1][0] <= place):
            return rows + level.rows
        return rows + sum(entry[3].rows for entry in level.entries() if not entry[0] and entry[1] <= place)

    def behind(self, number: int, now: float, deadline: float) -> list[Exchange]:
        """Who would be computed after such a request though they came before, in order; delayed ones left aside."""
        waiting, place = self._levels[number].waiting, _place(now, deadline)
        if not waiting or waiting[-1][0] <= place:
            return []
        later = waiting[bisect(waiting, (place, math.inf)) :]
        return [exchange for _, _, exchange in later if _waits(exchange)]


def _waits(exchange: Exchange) -> bool:
    """Whether one in a level's lists still waits there: it hasn't ended, nor was it taken, even to be tried again."""
    return not (exchange.ended or exchange.started or exchange.again)


def _place(admitted: float, deadline: float) -> float:
    latest = admitted + PASSED_OVER
    return min(latest, deadline)
