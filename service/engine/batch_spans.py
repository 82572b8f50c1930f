"""Spans of the batches that traced requests are computed in."""

import time
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from service.engine.scheduling.batch import Batch
from service.engine.scheduling.dynamic import DynamicBatcher
from service.errors import BackendError, WorkerLost
from service.workers.instance import Instance
from service.workers.payloads import Timings

_BILLION = 1e9


class BatchSpans:
    """Stands between a model's instances and its batcher, where there may be traced requests. Implements
    `InstanceListener`.

    A batch is a trace of its own, since it belongs to several requests: it has links to them, and what they have of it,
    their spans `queue` and `compute`, has a link to the batch. A batch that is tried again is another one.
    """

    def __init__(self, batcher: DynamicBatcher, model: str, version: str) -> None:
        self._batcher = batcher
        self._about = {"hone.model": model, "hone.model.version": version}

    def instance_ready(self, instance: Instance[Batch]) -> None:
        """See `InstanceListener`."""
        self._batcher.instance_ready(instance)

    def job_done(
        self, instance: Instance[Batch], job: Batch, outputs: Sequence[NDArray[Any]], timings: Timings
    ) -> None:
        """See `InstanceListener`."""
        self._tell(job, timings=timings)
        self._batcher.job_done(instance, job, outputs, timings)

    def job_failed(self, instance: Instance[Batch], job: Batch, text: str) -> None:
        """See `InstanceListener`."""
        self._tell(job, BackendError.reason)
        self._batcher.job_failed(instance, job, text)

    def instance_lost(self, instance: Instance[Batch], jobs: Sequence[Batch], *, blameless: bool) -> None:
        """See `InstanceListener`."""
        for job in jobs:
            self._tell(job, WorkerLost.reason)
        self._batcher.instance_lost(instance, jobs, blameless=blameless)

    def _tell(self, job: Batch, error: str = "", timings: Timings | None = None) -> None:
        traced = [
            (one, one.request.trace) for one in job.exchanges if one.request.trace and one.request.trace.context.sampled
        ]
        if not traced:
            return
        now = time.monotonic()
        phases = _seconds(timings) if timings else {}
        # A batch that was sent ahead began when it was foreseen to, at the latest when its inputs were put in place.
        start = min(job.exchanges[0].started, now - sum(phases.values()))
        batch = traced[0][1].beside("batch", start)
        batch.attributes |= {**self._about, **phases, "hone.batch.rows": job.rows}
        batch.attributes["hone.batch.requests"] = len(job.exchanges)
        if job.computed != job.rows:
            batch.attributes["hone.batch.computed_rows"] = job.computed
        batch.links = [span.context for _, span in traced]
        for exchange, span in traced:
            waiting = max(exchange.admitted, span.retried)
            span.child("queue", waiting).finish(start)
            compute = span.child("compute", start)
            compute.links.append(batch.context)
            compute.finish(now, error)
            span.retried = now if error else span.retried
        batch.finish(now, error)


def _seconds(timings: Timings) -> dict[str, float]:
    """How long each phase took; what is left of the batch's time is its way to the worker and back."""
    return {
        "hone.batch.input_seconds": (timings.moving + timings.input) / _BILLION,
        "hone.batch.infer_seconds": timings.infer / _BILLION,
        "hone.batch.output_seconds": timings.output / _BILLION,
    }
