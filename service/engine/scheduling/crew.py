"""The instances that compute for one model, on one device or several."""

import asyncio
from collections.abc import Sequence

from service.engine.scheduling.batch import Batch
from service.engine.scheduling.outlook import share_out
from service.engine.scheduling.station import Station
from service.metrics import ModelMetrics
from service.workers.instance import Instance

HOPELESS = 3
"""Failed attempts to start after which a worker isn't counted on any more."""


class Crew:
    """Owns which instances work for a model, and what its metrics say of them."""

    def __init__(self, metrics: ModelMetrics) -> None:
        self.stations: Sequence[Station] = ()
        self.is_hopeless = True  # every instance is down, and none has come up in its last attempts
        self._metrics = metrics

    @property
    def instances(self) -> list[Instance[Batch]]:
        """All of them."""
        return [instance for station in self.stations for instance in station.instances]

    def hire(self, stations: Sequence[Station]) -> None:
        """These work from now on."""
        self.stations = stations
        instances = self.instances
        self._metrics.worker_memory = lambda: sum([one.usage.resident_bytes for one in instances])
        self._metrics.worker_cpu = lambda: {station.name: station.cpu_seconds for station in stations}
        self.count()

    @property
    def ready(self) -> bool:
        """Whether anybody is there to compute."""
        return any(instance.ready for instance in self.instances)

    def free(self) -> Station | None:
        """The first station that a batch can be given to now."""
        for station in self.stations:
            if station.idle():
                return station
        return None

    def count(self) -> None:
        """One of them came up or went down."""
        self.is_hopeless = all(not one.ready and one.failures >= HOPELESS for one in self.instances)
        self._metrics.workers_up = {station.name: station.working for station in self.stations}
        self._metrics.ready = self.ready
        restarts: dict[tuple[str, str], int] = {}
        for station in self.stations:
            for instance in station.instances:
                for reason, count in instance.restarts.items():
                    restarts[station.name, reason] = restarts.get((station.name, reason), 0) + count
        self._metrics.worker_restarts = restarts
        if len(self.stations) > 1:
            share_out(self.stations)

    async def stop(self) -> None:
        """End all of them; nobody claims a device any more."""
        self._withdraw()
        await asyncio.gather(*(instance.stop() for instance in self.instances))
        self._withdraw()

    def _withdraw(self) -> None:
        for station in self.stations:
            station.withdraw()
