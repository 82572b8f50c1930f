"""The statistics of a generation in the protocol's words."""

from service.engine.servable import Servable
from service.engine.text.model import TextModel
from service.metadata import Duration, ModelStatistics

_PHASES = ("compute_input", "compute_infer", "compute_output")


def statistics_of(model: Servable) -> ModelStatistics:
    """What was counted since it was loaded. As in Triton, requests that were answered from the cache are successes that
    waited in no time; nothing was computed for them. A text is one inference, its steps are executions.
    """
    metrics = model.metrics
    counted, queue = metrics.statistics, metrics.queue_duration
    return ModelStatistics(
        name=model.name,
        version=model.version,
        last_inference=int(counted.last_inference * 1e3),
        inference_count=counted.successes if isinstance(model, TextModel) else metrics.inferences,
        execution_count=metrics.executions,
        durations={
            "success": _duration(counted.successes, counted.success_seconds),
            "fail": _duration(counted.failures, counted.failure_seconds),
            "queue": _duration(sum(queue.counts) + metrics.cache_hits, queue.total),
            **_by_phase(counted.computed_requests, counted.phases),
            "cache_hit": _duration(metrics.cache_hits, counted.cache_hit_seconds),
            "cache_miss": _duration(metrics.cache_misses, counted.cache_miss_seconds),
        },
        batches={rows: _by_phase(times.count, times.phases) for rows, times in sorted(counted.batches.items())},
    )


def _by_phase(count: int, phases: tuple[float, float, float]) -> dict[str, Duration]:
    return {name: _duration(count, seconds) for name, seconds in zip(_PHASES, phases, strict=True)}


def _duration(count: int, seconds: float) -> Duration:
    return count, int(seconds * 1e9)
