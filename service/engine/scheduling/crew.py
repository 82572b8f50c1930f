"""The instances that compute for one model."""

import asyncio
from collections.abc import Sequence

from service.engine.scheduling.batch import Batch
from service.metrics import ModelMetrics
from service.workers.instance import Instance

HOPELESS = 3
"""Failed attempts to start after which a worker isn't counted on any more."""


class Crew:
    """Owns which instances work for a model, and what its metrics say of them."""

    def __init__(self, metrics: ModelMetrics) -> None:
        self.instances: list[Instance[Batch]] = []
        self.is_hopeless = True  # every instance is down, and none has come up in its last attempts
        self._metrics = metrics

    def hire(self, instances: Sequence[Instance[Batch]]) -> None:
        """These work from now on."""
        self.instances = list(instances)
        self._metrics.worker_memory = lambda: sum(one.stats.resident_bytes for one in instances if one.stats)
        self.count()

    @property
    def ready(self) -> bool:
        """Whether anybody is there to compute."""
        return any(instance.ready for instance in self.instances)

    def idle(self) -> Instance[Batch] | None:
        """One that a batch can be given to now."""
        for instance in self.instances:
            if instance.idle:
                return instance
        return None

    def count(self) -> None:
        """One of them came up or went down."""
        self.is_hopeless = all(not one.ready and one.failures >= HOPELESS for one in self.instances)
        self._metrics.workers_up = sum(instance.ready for instance in self.instances)
        self._metrics.ready = self._metrics.workers_up > 0
        restarts: dict[str, int] = {}
        for instance in self.instances:
            for reason, count in instance.restarts.items():
                restarts[reason] = restarts.get(reason, 0) + count
        self._metrics.worker_restarts = restarts

    async def stop(self) -> None:
        """End all of them."""
        await asyncio.gather(*(instance.stop() for instance in self.instances))
