"""Spans of batches: who was in them, and what became of it."""

import asyncio

from msgspec import structs

from service.engine.batch_spans import BatchSpans
from service.engine.exchange import Exchange
from service.telemetry.span import Span
from service.telemetry.tracer import Tracer
from service.workers.payloads import Timings
from tests.engine.rig import Rig, turn


class TracedRig(Rig):
    """A rig whose instance tells spans of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: list[Span] = []
        self.instance = self.instances[0]
        self.instance._listener = BatchSpans(self.batcher, "m", "1")  # type: ignore[assignment]

    def ask(self, *values: float, ratio: float | None = 1.0) -> Exchange:
        """Submit a request that is traced, unless it isn't sampled, or `ratio` is None."""
        exchange, _ = self.exchange(*values)
        if ratio is not None:
            trace = Tracer(self.spans.append, ratio).begin("request", exchange.admitted, None)
            exchange.request = structs.replace(exchange.request, trace=trace)
        self.batcher.submit(exchange)
        return exchange

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


def trace_of(exchange: Exchange) -> Span:
    assert exchange.request.trace
    return exchange.request.trace


async def test_a_batch_and_its_requests_have_links_to_each_other() -> None:
    """It says of how many rows and requests it is; who isn't sampled, or isn't traced at all, is only counted."""
    rig = TracedRig()
    one, two, *_ = [rig.ask(1.0), rig.ask(2.0, 3.0), rig.ask(4.0, ratio=0.0), rig.ask(5.0, ratio=None)]
    await turn()
    assert rig.instance.job
    await asyncio.sleep(0.01)
    timings = Timings(input=1_000_000, infer=3_000_000, output=1_000_000)
    rig.instance._listener.job_done(rig.instance, rig.instance.job, [rig.instance.job.gather()[0][0]], timings)  # type: ignore[arg-type]

    (batch,) = rig.named("batch")
    computes = rig.named("compute")
    assert [trace_of(one).context, trace_of(two).context] == batch.links
    assert [[batch.context]] * 2 == [span.links for span in computes]
    assert [trace_of(one).context, trace_of(two).context] == [span.parent for span in computes]
    assert batch.parent is None
    assert batch.context.trace not in {trace_of(one).context.trace, trace_of(two).context.trace}
    assert {
        "hone.model": "m",
        "hone.model.version": "1",
        "hone.batch.rows": 4,
        "hone.batch.requests": 3,
        "hone.batch.input_seconds": 0.001,
        "hone.batch.infer_seconds": 0.003,
        "hone.batch.output_seconds": 0.001,
    } == batch.attributes
    for queue, compute, exchange in zip(rig.named("queue"), computes, (one, two), strict=True):
        assert exchange.admitted == queue.start <= queue.end == compute.start == batch.start < compute.end == batch.end


async def test_who_is_not_sampled_costs_no_batch() -> None:
    """Nothing is told of batches without anybody who is traced."""
    rig = TracedRig()
    rig.ask(1.0, ratio=0.0)
    await turn()
    rig.instance.answer()
    assert [] == rig.spans


async def test_a_batch_that_fails_says_so_and_is_followed_by_others() -> None:
    """Each half is a batch of its own; who is tried again waits again, from the moment of the failure."""
    rig = TracedRig()
    one, two = rig.ask(1.0), rig.ask(2.0)
    await turn()
    rig.instance.refuse()
    await turn()
    rig.instance.answer()
    await turn()
    rig.instance.refuse()

    assert ["backend_error", "", "backend_error"] == [batch.error for batch in rig.named("batch")]
    assert [[trace_of(one).context, trace_of(two).context], [trace_of(one).context], [trace_of(two).context]] == [
        batch.links for batch in rig.named("batch")
    ]
    first, again = [span for span in rig.named("queue") if span.parent == trace_of(one).context]
    computed, _ = [span for span in rig.named("compute") if span.parent == trace_of(one).context]
    assert ("backend_error", one.admitted, computed.end) == (computed.error, first.start, again.start)


async def test_a_worker_that_ends_is_told_of() -> None:
    """What it held is computed by the next, in another batch."""
    rig = TracedRig()
    rig.ask(1.0)
    await turn()
    rig.instance.die()
    rig.instance.revive()
    await turn()
    rig.instance.answer()

    assert ["worker_lost", ""] == [batch.error for batch in rig.named("batch")]
    assert ["worker_lost", ""] == [span.error for span in rig.named("compute")]


async def test_a_batch_that_was_sent_ahead_begins_before_it_ends() -> None:
    """It was foreseen to begin later than it did: what its worker says of its times is right."""
    rig = TracedRig()
    exchange = rig.ask(1.0)
    await turn()
    exchange.started += 100
    rig.instance.answer()

    (batch,), (compute,) = rig.named("batch"), rig.named("compute")
    assert batch.start == compute.start <= compute.end < exchange.started
