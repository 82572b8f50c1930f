"""The dynamic batcher: a worker that becomes free takes what is waiting, at once.

There is no timer while anybody is idle. Requests that arrive while all workers are busy become the next batch, so
batches grow with the load by themselves. `max_queue_delay_microseconds` is the longest voluntary wait for a fuller
batch; it is 0 unless the configuration sets it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from service.engine.device import Device
from service.engine.exchange import Exchange
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.expiry import Expiry
from service.engine.scheduling.queue import RequestQueue
from service.errors import BackendError, NotReady, PoisonRequest, WorkerLost
from service.metrics import ModelMetrics
from service.workers.instance import Instance
from service.workers.payloads import Timings

CRASHES = 2
KILLS = 10
HOPELESS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchingPolicy:
    """How requests are joined. `max_rows` is 0 for a model without a batch axis; `join` is False when the
    configuration has no dynamic_batching: then every request is a batch of its own. `delay` is in seconds, `tokens`
    are what a batch takes of its device.
    """

    max_rows: int
    join: bool
    delay: float
    max_queued_requests: int
    max_queued_bytes: int
    tokens: int
    shapes_vary: bool


class DynamicBatcher:
    """Owns one model's queue and its batches in flight. Implements `Scheduler`, `InstanceListener` and `Claimant`.

    A batch whose worker dies is retried request by request; a batch that the runtime refuses is halved until the
    offender is alone. Whoever is alone when a second worker crashes is refused. That a worker was killed or stopped
    from outside says nothing about a request; after KILLS of them it is given up, and may be sent again.
    """

    def __init__(
        self,
        policy: BatchingPolicy,
        device: Device,
        metrics: ModelMetrics,
        respond: Callable[[Exchange, Sequence[NDArray[Any]]], None],
        condemn: Callable[[Exchange], None],
    ) -> None:
        self.instances: list[Instance[Batch]] = []
        self.cost = policy.tokens
        self._policy = policy
        self._limit = policy.max_rows if policy.join else 0
        self._device = device
        self._metrics = metrics
        self._respond = respond
        self._condemn = condemn
        self._loop = asyncio.get_running_loop()
        self._queue = RequestQueue(
            metrics,
            max_requests=policy.max_queued_requests,
            max_bytes=policy.max_queued_bytes,
            shapes_vary=policy.shapes_vary,
        )
        self._running: dict[Batch, None] = {}
        self._expiry = Expiry(self._unfinished)
        self._hopeless = True  # every instance is down, and none has come up in its last attempts
        self._pump_due = False
        self._delayed: asyncio.TimerHandle | None = None

    def serve(self, instances: Sequence[Instance[Batch]]) -> None:
        """Hand batches to these instances from now on."""
        self.instances = list(instances)
        self._metrics.worker_memory = lambda: sum(one.stats.resident_bytes for one in instances if one.stats)
        self._count_workers()
        self._pump_soon()

    # -- Scheduler

    @property
    def ready(self) -> bool:
        """See `Scheduler`."""
        return any(instance.ready for instance in self.instances)

    def submit(self, exchange: Exchange) -> None:
        """See `Scheduler`."""
        if self._hopeless:
            raise NotReady("the model has no worker that runs; one is being restarted")
        self._queue.push(exchange)
        if exchange.deadline < self._expiry.next:
            self._expiry.watch(exchange.deadline)
        if not self._pump_due:
            # Later in this turn of the loop: what other connections send in the same turn joins the batch.
            self._pump_soon()

    def left(self, exchange: Exchange) -> None:
        """See `Scheduler`."""
        self._queue.leave(exchange)

    async def stop(self) -> None:
        """See `Scheduler`."""
        self._expiry.stop()
        if self._delayed:
            self._delayed.cancel()
        self._device.withdraw(self)
        await asyncio.gather(*(instance.stop() for instance in self.instances))
        for exchange in list(self._unfinished()):
            exchange.fail(WorkerLost("the model was stopped"))

    # -- Claimant

    @property
    def earliest_deadline(self) -> float:
        """See `Claimant`."""
        return min((exchange.deadline for exchange in self._queue), default=float("inf"))

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
        while len(self._queue) and self._idle() and not self._worth_waiting():
            if not self._device.claim(self):
                return
            self._dispatch()

    def _idle(self) -> Instance[Batch] | None:
        for instance in self.instances:
            if instance.idle:
                return instance
        return None

    def _worth_waiting(self) -> bool:
        """Whether a fuller batch may still come within the configured delay; if so, a timer is set."""
        if not self._policy.delay or (oldest := self._queue.oldest) is None:
            return False
        left = oldest + self._policy.delay - time.monotonic()
        if left <= 0 or sum(exchange.rows for exchange in self._queue) >= self._limit:
            return False
        if self._delayed is None:
            self._delayed = self._loop.call_later(left, self._delay_over)
        return True

    def _delay_over(self) -> None:
        self._delayed = None
        self._pump()

    def _dispatch(self) -> None:
        """Run one batch with the tokens at hand, or give them back."""
        instance = self._idle()
        now = time.monotonic()
        batch = self._queue.take(self._limit, now) if instance else None
        if instance is None or batch is None:
            self._device.release(self)
            return
        self._metrics.queue_duration.observe_all([now - exchange.admitted for exchange in batch.exchanges])
        self._running[batch] = None
        try:
            instance.run(batch, batch.gather())
        except OSError as error:  # no memory or descriptors for a batch that doesn't fit its slot
            self._finished(batch)
            _refuse(batch, f"no shared memory for a batch of {batch.rows} rows: {error.strerror}")

    # -- InstanceListener

    def instance_ready(self, instance: Instance[Batch]) -> None:
        """See `InstanceListener`."""
        del instance
        self._count_workers()
        self._pump_soon()

    def job_done(
        self, instance: Instance[Batch], job: Batch, outputs: Sequence[NDArray[Any]], timings: Timings
    ) -> None:
        """See `InstanceListener`."""
        del instance
        self._finished(job)
        self._measure(job, timings)
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
        self._count_workers()
        for job in jobs:
            self._finished(job)
            for exchange in job.alive():
                exchange.kills += blameless
                exchange.deaths += not blameless
                if len(job.exchanges) == 1 and exchange.deaths >= CRASHES:
                    self._condemn(exchange)
                    exchange.fail(PoisonRequest("the worker process ended each time that it held this request"))
                elif exchange.kills >= KILLS:
                    exchange.fail(WorkerLost(f"{KILLS} worker processes were killed while they held this request"))
            self._retry([Batch([exchange]) for exchange in job.alive()])
        if self._hopeless:
            for exchange in list(self._unfinished()):
                exchange.fail(WorkerLost("the model's worker ends as soon as it starts"))

    # -- bookkeeping

    def _unfinished(self) -> Iterator[Exchange]:
        yield from self._queue
        for batch in self._running:
            yield from batch.alive()

    def _finished(self, batch: Batch) -> None:
        del self._running[batch]
        self._device.release(self)
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

    def _count_workers(self) -> None:
        self._hopeless = all(not instance.ready and instance.failures >= HOPELESS for instance in self.instances)
        self._metrics.workers_up = sum(instance.ready for instance in self.instances)
        self._metrics.ready = self._metrics.workers_up > 0
        restarts: dict[str, int] = {}
        for instance in self.instances:
            for reason, count in instance.restarts.items():
                restarts[reason] = restarts.get(reason, 0) + count
        self._metrics.worker_restarts = restarts

    def _measure(self, batch: Batch, timings: Timings) -> None:
        metrics = self._metrics
        metrics.executions += 1
        metrics.inferences += batch.rows
        metrics.batch_size.observe(batch.rows)
        phases = metrics.compute_duration
        phases["input"].observe(timings.input / 1e9)
        phases["infer"].observe(timings.infer / 1e9)
        phases["output"].observe(timings.output / 1e9)


def _refuse(batch: Batch, text: str) -> None:
    for exchange in batch.exchanges:
        exchange.fail(BackendError(text))
