"""The dynamic batcher: a worker that becomes free takes what is waiting, at once.

There is no timer while anybody is idle. Requests that arrive while all workers are busy become the next batch, so
batches grow with the load by themselves. `max_queue_delay_microseconds` is the longest voluntary wait for a fuller
batch; it is 0 unless the configuration sets it.

Where the model has a latency profile, a request is admitted only if it will, as far as can be foreseen, be finished by
its deadline, and a batch is closed so that none in it is late.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from service.engine.device import Device
from service.engine.exchange import Exchange
from service.engine.profile import LatencyProfile
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.closing import Closer
from service.engine.scheduling.crew import Crew
from service.engine.scheduling.expiry import Expiry
from service.engine.scheduling.foresight import Foresight
from service.engine.scheduling.linger import Linger
from service.engine.scheduling.policy import BatchingPolicy
from service.engine.scheduling.queue import RequestQueue
from service.engine.scheduling.suspicion import suspect
from service.errors import BackendError, DeadlineExceeded, NotReady, WorkerLost
from service.metrics import ModelMetrics
from service.workers.instance import Instance
from service.workers.payloads import Timings


class DynamicBatcher:
    """Owns one model's queue and its batches in flight. Implements `Scheduler`, `InstanceListener` and `Claimant`.

    A batch whose worker dies is retried request by request; a batch that the runtime refuses is halved until the
    offender is alone.
    """

    def __init__(
        self,
        policy: BatchingPolicy,
        device: Device,
        metrics: ModelMetrics,
        respond: Callable[[Exchange, Sequence[NDArray[Any]]], None],
        condemn: Callable[[Exchange], None],
    ) -> None:
        self.crew = Crew(metrics)
        self.cost = 1
        self._policy = policy
        self._limit = policy.max_rows if policy.join else 0
        self._closer = Closer(
            limit=self._limit, preferred=policy.preferred, alike=_alike if policy.shapes_vary else None
        )
        self._foresight: Foresight | None = None
        self._device = device
        self._metrics = metrics
        self._respond = respond
        self._condemn = condemn
        self._loop = asyncio.get_running_loop()
        self._queue = RequestQueue(
            metrics,
            policies=policy.levels,
            max_requests=policy.max_queued_requests,
            max_bytes=policy.max_queued_bytes,
        )
        self._running: dict[Batch, None] = {}
        self._expiry = Expiry(self._unfinished, policy.levels, self._queue.delay)
        self._linger = Linger()
        self._pump_due = False
        self._delayed: asyncio.TimerHandle | None = None

    def serve(
        self, instances: Sequence[Instance[Batch]], *, tokens: int, profile: LatencyProfile | None, join: bool = True
    ) -> None:
        """Hand batches to these instances from now on.

        Each batch takes `tokens` of the device. Without a `profile` nothing is foreseen; without `join` every request
        is a batch of its own, whatever the policy allows.
        """
        self.cost = tokens
        if not join:
            self._limit = 0
            self._closer = replace(self._closer, limit=0, preferred=())
        if profile:
            delay = partial(self._device.delay, self)
            self._foresight = Foresight(profile, instances=len(instances), joins=self._limit > 0, delay=delay)
        self.crew.hire(instances)
        self._pump_soon()

    # -- Scheduler

    @property
    def ready(self) -> bool:
        """See `Scheduler`."""
        return self.crew.ready

    def submit(self, exchange: Exchange) -> None:
        """See `Scheduler`."""
        if self.crew.is_hopeless:
            raise NotReady("the model has no worker that runs; one is being restarted")
        foresight = self._foresight
        if foresight and not foresight.is_plenty(
            self._queue.rows + self._limit + exchange.rows, exchange.deadline - exchange.admitted
        ):
            ahead = self._queue.rows_before(exchange.level, exchange.deadline)
            foresight.check(exchange.rows, ahead, exchange.admitted, exchange.deadline, exchange.weight)
        self._queue.push(exchange)
        self._expiry.admit(exchange)
        if not self._pump_due:
            # Later in this turn of the loop: what other connections send in the same turn joins the batch.
            self._pump_soon()

    def precheck(self, allowance: float) -> None:
        """See `Scheduler`. Looks ahead only where all requests are equal."""
        if self._foresight and len(self._policy.levels) == 1 and not self._policy.waste:
            now = time.monotonic()
            self._foresight.check(1, self._queue.rows_before(0, now + allowance), now, now + allowance)

    def left(self, exchange: Exchange) -> None:
        """See `Scheduler`."""
        self._queue.leave(exchange)

    async def stop(self) -> None:
        """See `Scheduler`."""
        self._expiry.stop()
        if self._delayed:
            self._delayed.cancel()
        self._device.withdraw(self)
        await self.crew.stop()
        self._device.withdraw(self)
        for exchange in list(self._unfinished()):
            exchange.fail(WorkerLost("the model was stopped"))

    # -- Claimant

    @property
    def backlog(self) -> float:
        """See `Claimant`."""
        return self._foresight.backlog(self._queue.rows) if self._foresight else 0.0

    def granted(self) -> None:
        """See `Claimant`."""
        self._dispatch()
        self._pump_soon()

    # -- forming batches

    def _pump_soon(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        while len(self._queue) and self.crew.idle() and not self._worth_waiting():
            if not self._device.claim(self):
                return
            self._dispatch()

    def _worth_waiting(self) -> bool:
        """Whether a fuller batch may still come, within the configured delay or a linger; then a timer is set."""
        rows = self._queue.rows
        if rows >= self._limit or self._queue.has_retries:
            return False
        now = time.monotonic()
        foresight = None if self._policy.waste else self._foresight  # whoever comes next may be of another length
        until = self._linger.until(rows, self._limit, now, foresight.profile) if foresight else 0.0
        if self._policy.delay and (oldest := self._queue.oldest) is not None:
            until = max(until, oldest + self._policy.delay)
        if until <= now:
            return False
        if self._delayed is None:
            self._delayed = self._loop.call_later(until - now, self._delay_over)
        return True

    def _delay_over(self) -> None:
        self._delayed = None
        self._pump()

    def _dispatch(self) -> None:
        """Run one batch with the tokens at hand, or give them back."""
        instance = self.crew.idle()
        now = time.monotonic()
        batch = self._close(now) if instance else None
        if instance is None or batch is None:
            self._device.release(self)
            return
        self._queue.taken(batch, now)
        self._metrics.queue_duration.observe_all([now - exchange.admitted for exchange in batch.exchanges])
        if self._policy.waste:
            self._metrics.padding_ratio.observe(self._policy.waste(batch.exchanges))
        self._running[batch] = None
        if self._foresight:
            self._foresight.started(batch, now)
        try:
            instance.run(batch, batch.gather())
        except OSError as error:  # no memory or descriptors for a batch that doesn't fit its slot
            self._finished(batch)
            _refuse(batch, f"no shared memory for a batch of {batch.rows} rows: {error.strerror}")

    def _close(self, now: float) -> Batch | None:
        """The batch to compute next; who can't be finished in time is told so."""
        if self._queue.has_retries and (batch := self._queue.retry()):
            return batch
        profile = self._foresight.profile if self._foresight else None
        closing = self._closer.close(self._queue.first(self._closer.window, now), now, profile)
        for exchange in closing.dropped:
            waited = now - exchange.admitted
            exchange.fail(
                DeadlineExceeded(f"dropped after {waited * 1e3:.0f} ms: it can't be finished in time any more")
            )
        return Batch(closing.taken) if closing.taken else None

    # -- InstanceListener

    def instance_ready(self, instance: Instance[Batch]) -> None:
        """See `InstanceListener`."""
        del instance
        self.crew.count()
        self._pump_soon()

    def job_done(
        self, instance: Instance[Batch], job: Batch, outputs: Sequence[NDArray[Any]], timings: Timings
    ) -> None:
        """See `InstanceListener`."""
        del instance
        phases = (timings.input / 1e9, timings.infer / 1e9, timings.output / 1e9)
        self._finished(job, sum(phases))
        self._metrics.computed(job.rows, phases)
        if self._foresight and self._queue.rows >= self._limit > 0 and self._foresight.worker_is_slower:
            self._pump()  # a full batch waits already: let the worker go on while these answers are written
        self._linger.answered(job.rows)
        if not self._policy.max_rows:
            self._respond(job.exchanges[0], outputs)
            return
        try:
            for exchange, rows in job.scatter(outputs):
                self._respond(exchange, rows)
        except ValueError as error:
            self._blame(job, f"the model doesn't answer row by row: {error}")

    def job_failed(self, instance: Instance[Batch], job: Batch, text: str) -> None:
        """See `InstanceListener`."""
        del instance
        self._finished(job)
        self._blame(job, text)

    def instance_lost(self, instance: Instance[Batch], jobs: Sequence[Batch], *, blameless: bool) -> None:
        """See `InstanceListener`."""
        del instance
        self.crew.count()
        for job in jobs:
            self._finished(job)
            self._retry(suspect(job, blameless=blameless, condemn=self._condemn))
        if self.crew.is_hopeless:
            for exchange in list(self._unfinished()):
                exchange.fail(WorkerLost("the model's worker ends as soon as it starts"))

    # -- bookkeeping

    def _unfinished(self) -> Iterator[Exchange]:
        yield from self._queue
        for batch in self._running:
            yield from batch.alive()

    def _finished(self, batch: Batch, seconds: float = 0.0) -> None:
        del self._running[batch]
        if self._foresight:
            self._foresight.ended(batch, seconds)
        self._device.release(self, seconds)
        self._pump_soon()

    def _blame(self, batch: Batch, text: str) -> None:
        """Refuse whoever is alone in a batch that failed; find out who is to blame in a larger one."""
        if len(batch.exchanges) == 1:
            _refuse(batch, text)
        else:
            self._retry(batch.halves())

    def _retry(self, batches: Sequence[Batch]) -> None:
        self._queue.push_again(batches)
        self._pump_soon()


def _refuse(batch: Batch, text: str) -> None:
    for exchange in batch.exchanges:
        exchange.fail(BackendError(text))


def _alike(one: Exchange, other: Exchange) -> bool:
    """Whether two requests can be rows of one array: all dimensions but the first agree, input by input."""
    return all(a.shape[1:] == b.shape[1:] for a, b in zip(one.inputs, other.inputs, strict=True))
