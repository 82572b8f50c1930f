"""The dynamic batcher: a worker that becomes free takes what is waiting, at once.

There is no timer while anybody is idle: what arrives while all workers are busy becomes the next batch, so that batches
grow with the load by themselves. `max_queue_delay_microseconds` is the longest voluntary wait for a fuller one.

With a latency profile only those are admitted who should be finished in time, and batches close so that none is late.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from service.engine.exchange import Exchange, end_all
from service.engine.scheduling.batch import Batch, alike
from service.engine.scheduling.choice import Choice
from service.engine.scheduling.closing import Closer, too_late
from service.engine.scheduling.crew import Crew
from service.engine.scheduling.expiry import Expiry
from service.engine.scheduling.foresight import Foresight
from service.engine.scheduling.linger import Linger
from service.engine.scheduling.outlook import Outlook, foresee
from service.engine.scheduling.policy import BatchingPolicy
from service.engine.scheduling.promise import check_promises
from service.engine.scheduling.queue import RequestQueue
from service.engine.scheduling.shedding import Shedding
from service.engine.scheduling.station import Station
from service.engine.scheduling.suspicion import suspect
from service.errors import NotReady, WorkerLost
from service.metrics import ModelMetrics
from service.turn import Turn
from service.workers.instance import Instance
from service.workers.payloads import Timings


class DynamicBatcher:
    """Owns one model's queue and its batches in flight. Implements `Scheduler` and `InstanceListener`.

    `respond` hands an answer to an exchange that hasn't ended, and doesn't end it. A batch whose worker dies is retried
    request by request; a batch that the runtime refuses is halved until the offender is alone.
    """

    def __init__(
        self,
        policy: BatchingPolicy,
        metrics: ModelMetrics,
        respond: Callable[[Exchange, Sequence[NDArray[Any]]], None],
        condemn: Callable[[Exchange], None],
    ) -> None:
        self.crew = Crew(metrics)
        self._policy = policy
        self._limit = policy.max_rows if policy.join else 0
        similar = alike if policy.shapes_vary else None
        self._closer = Closer(limit=self._limit, preferred=policy.preferred, alike=similar)
        self._foresight: Foresight | Outlook | None = None
        self._shedding = Shedding()
        self._choice: Choice | None = None
        self._metrics = metrics
        self._respond = respond
        self._condemn = condemn
        self._loop = asyncio.get_running_loop()
        self._turn = Turn.of(self._loop)
        self._queue = RequestQueue(
            metrics,
            policies=policy.levels,
            max_requests=policy.max_queued_requests,
            max_bytes=policy.max_queued_bytes,
        )
        self._running: dict[Batch, Station] = {}
        self._expiry = Expiry(self._unfinished, policy.levels, self._queue.delay)
        self._linger = Linger(policy.delay, self._pump, alike=not policy.waste)
        self._pump_due = False
        self._tunes = len(policy.levels) == 1 and not policy.preferred

    def serve(self, stations: Sequence[Station], *, join: bool = True) -> None:
        """Hand batches to the instances at these stations from now on.

        Without `join` every request is a batch of its own, whatever the policy allows, and isn't padded either.
        """
        if not join or not self._closer.preferred:
            self._limit = min([one.worthwhile(self._limit) for one in stations]) if join else 0
            self._tunes = self._tunes and self._limit > 0
            self._closer = replace(self._closer, limit=self._limit, preferred=())
        for station in stations:
            station.open(self._granted, lambda: self._queue.rows, joins=self._limit > 0, pads=join)
        self._foresight = self._queue.foresight = foresee(stations)
        self._choice = Choice(stations, self._pump_soon) if len(stations) > 1 else None
        self.crew.hire(stations)
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
        if self._foresight:
            check_promises(self._foresight, self._queue, exchange)
        self._queue.push(exchange)
        self._expiry.admit(exchange)
        if not self._pump_due:
            # Later in this turn of the loop: what other connections send in the same turn joins the batch.
            self._pump_soon()

    def precheck(self, allowance: float, weight: float) -> None:
        """See `Scheduler`."""
        if self._foresight:
            self._shedding.check(self._foresight, self._queue, allowance, weight)

    def left(self, exchange: Exchange) -> None:
        """See `Scheduler`."""
        self._queue.leave(exchange)

    async def stop(self) -> None:
        """See `Scheduler`."""
        self._expiry.stop()
        self._linger.stop()
        if self._choice:
            self._choice.stop()
        await self.crew.stop()
        for exchange in list(self._unfinished()):
            exchange.fail(WorkerLost("the model was stopped"))

    # -- forming batches

    def _pump_soon(self) -> None:
        if not self._pump_due:
            self._pump_due = True
            self._turn.last(self._pump)

    def _pump(self) -> None:
        self._pump_due = False
        while len(self._queue) and (station := self._next()) and not self._holds(station):
            if station.claim():
                if not self._dispatch(station):
                    return
            elif not self._choice:
                return

    def _next(self) -> Station | None:
        """Where the next batch should be started now."""
        return self._choice.next(self._queue.rows, self._size) if self._choice else self.crew.free()

    @property
    def _size(self) -> int:
        """Rows that the next batch will have, about."""
        rows = self._queue.rows
        return min(rows, self._limit) if self._limit else max(rows // max(len(self._queue), 1), 1)

    def _granted(self, station: Station) -> None:
        self._dispatch(station)
        self._pump_soon()

    def _holds(self, station: Station) -> bool:
        if self._closer.preferred and self._closer.makes_preferred(self._queue.first(self._limit, time.monotonic())):
            return False
        return self._linger.holds(self._queue, self._limit, station)

    def _dispatch(self, station: Station) -> bool:
        """Run one batch with the tokens at hand, or give them back; whether anything has left the queue."""
        instance, before = station.idle(), len(self._queue)
        if instance is None or not self._start(station, instance, time.monotonic()):
            station.release()
        return len(self._queue) < before

    def _start(self, station: Station, instance: Instance[Batch], now: float) -> bool:
        """Give an instance the next batch, which it will compute from `now` on; whether there was one."""
        batch = self._close(station, now)
        if batch is None:
            return False
        self._queue.taken(batch, now)
        self._metrics.queue_duration.observe_all([now - exchange.admitted for exchange in batch.exchanges])
        self._running[batch] = station
        if station.foresight:
            station.foresight.started(batch, station.free_at(now)[0] if self._choice else now)
        try:
            instance.run(batch, batch.gather(station.padded(batch.rows)))
        except (OSError, MemoryError) as error:  # none to pad it with, or none for what doesn't fit its slot
            self._finished(batch)
            batch.refuse(f"no memory for a batch of {batch.rows} rows: {error}")
            return True
        if self._policy.waste or station.buckets:
            real = 1 - self._policy.waste(batch.exchanges) if self._policy.waste else 1.0
            self._metrics.padding_ratio.observe(1 - real * batch.rows / batch.computed)
        if not self._choice and (seconds := station.ahead_after(batch)):
            self._loop.call_later(seconds, self._send_ahead, station, instance, batch)
        return True

    def _send_ahead(self, station: Station, instance: Instance[Batch], batch: Batch) -> None:
        """Its batch is nearly done: an instance is given the next one now, if that is full, and goes on without us."""
        full = self._queue.rows >= self._limit > 0 and not self._queue.has_retries
        if not (full and batch in self._running and instance.takes_another and station.claim_ahead()):
            return
        if not self._start(station, instance, station.free_at(time.monotonic())[0]):
            station.withdraw_ahead()

    def _close(self, station: Station, now: float) -> Batch | None:
        """The batch to compute next; who can't be finished in time is told so."""
        if self._queue.has_retries and (batch := self._queue.retry()):
            return batch
        in_flight = sum([batch.rows for batch in self._running])
        fullest = station.fullest(now, self._queue.rows, in_flight) if self._tunes else (0, 0)
        window = self._closer.window(max(fullest))
        if self._choice:
            waiting = self._choice.left_for(station, self._queue.first(len(self._queue), now), now, self._size)[:window]
        else:
            waiting = self._queue.first(window, now)
        closing = self._closer.close(waiting, now, station.profile, *fullest)
        if self._choice is None or self._choice.is_fastest(station):
            for exchange in closing.dropped:
                exchange.fail(too_late(exchange, now))  # and with a part of a request all others, also those taken
        taken = [one for one in closing.taken if not one.ended] if closing.dropped else closing.taken
        return Batch(taken) if taken else None

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
        station = self._running[job]
        taken, inferred, written = timings.input / 1e9, timings.infer / 1e9, timings.output / 1e9
        self._finished(job, taken + inferred + written)
        self._metrics.computed(len(job.exchanges), job.rows, (timings.moving / 1e9 + taken, inferred, written))
        if self._queue.rows >= self._limit > 0 and station.foresight and station.foresight.worker_is_slower:
            self._pump()  # a full batch waits already: let the worker go on while these answers are written
        self._linger.answered(job.rows)
        try:
            answers = job.scatter(outputs) if self._policy.max_rows else [(one, outputs) for one in job.alive()]
        except ValueError as error:
            self._blame(job, f"the model doesn't answer row by row: {error}")
            return
        for exchange, rows in answers:
            self._respond(exchange, rows)
        end_all(job.exchanges, None)  # written one after the other, when all are encoded: clients wake up once

    def job_failed(self, instance: Instance[Batch], job: Batch, text: str) -> None:
        """See `InstanceListener`."""
        del instance
        self._finished(job)
        self._blame(job, text)

    def instance_lost(self, instance: Instance[Batch], jobs: Sequence[Batch], *, blameless: bool) -> None:
        """See `InstanceListener`."""

        def condemn(exchange: Exchange) -> None:
            instance.excuse()
            self._condemn(exchange)

        for position, job in enumerate(jobs):  # only the first was being computed
            self._finished(job)
            self._retry(suspect(job, blameless=blameless or position > 0, condemn=condemn))
        self.crew.count()
        if self.crew.is_hopeless:
            for exchange in list(self._unfinished()):
                exchange.fail(WorkerLost("the model's worker ends as soon as it starts"))

    # -- bookkeeping

    def _unfinished(self) -> Iterator[Exchange]:
        yield from self._queue
        for batch in self._running:
            yield from batch.alive()

    def _finished(self, batch: Batch, seconds: float = 0.0) -> None:
        station = self._running.pop(batch)
        if station.foresight:
            station.foresight.ended(batch, seconds)
        station.finished(seconds)
        if len(self._queue):
            self._pump_soon()

    def _blame(self, batch: Batch, text: str) -> None:
        """Refuse whoever is alone in a batch that failed; find out who is to blame in a larger one."""
        if len(batch.exchanges) == 1:
            batch.refuse(text)
        else:
            self._retry(batch.halves())

    def _retry(self, batches: Sequence[Batch]) -> None:
        self._queue.push_again(batches)
        self._pump_soon()
