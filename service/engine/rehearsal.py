"""Loading a model as if to serve it: does the file fit the configuration, and does it answer as it should?"""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from service.artifact.config import ModelConfig
from service.artifact.golden import read_golden
from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.engine.blueprint import Blueprint
from service.engine.device import CPU, Device, Devices, Placement
from service.engine.source import EngineLimits, ModelSource
from service.engine.transformation import read_transformation
from service.engine.trials.bench import Bench
from service.engine.trials.tryout import Tryout
from service.errors import ArtifactError
from service.repository.reason import reason_for
from service.workers.instance import Instance


class Rehearsal:
    """Owns a worker that loads one version on one device, to compare it with its configuration and with its golden
    samples. Implements `InstanceListener`, for nobody.
    """

    def __init__(self, source: ModelSource, device: str, limits: EngineLimits) -> None:
        self._blueprint = Blueprint(source, limits)
        self._device = device
        self._limits = limits

    @property
    def config(self) -> ModelConfig:
        """The configuration, completed from the model itself. Raises NotReady before that was read."""
        return self._blueprint.config

    async def run(self) -> None:
        """Raises ArtifactError with what would keep the version from being served."""
        plan = self._blueprint.inspection(Placement(device=self._device, threads=1))
        resolve = partial(self._resolve, plan)
        instance: Instance[object] = Instance(plan, resolve, self._limits.patience, self._blueprint.source.name)
        golden = self._blueprint.source.golden
        samples = read_golden(Path(golden)) if golden else None
        await asyncio.to_thread(read_transformation, self._blueprint.source)
        try:
            await instance.start()
            await Tryout(plan=instance.plan, golden=samples).verify(Bench(instance, Device(1), tokens=1))
        finally:
            await instance.stop()

    def _resolve(self, plan: Plan, signature: Signature) -> tuple[Plan, "Rehearsal"]:
        return self._blueprint.resolve(plan, signature), self

    def instance_ready(self, instance: Instance[object]) -> None:
        """See `InstanceListener`."""

    def job_done(self, instance: Instance[object], job: object, outputs: object, timings: object) -> None:
        """See `InstanceListener`."""

    def job_failed(self, instance: Instance[object], job: object, text: str) -> None:
        """See `InstanceListener`."""

    def instance_lost(self, instance: Instance[object], jobs: Sequence[object], *, blameless: bool) -> None:
        """See `InstanceListener`."""


async def rehearse(source: ModelSource, devices: Devices, limits: EngineLimits) -> tuple[str, ModelConfig | None]:
    """Why this version can't be served on the devices that it asks for; or nothing, and its completed configuration."""
    config: ModelConfig | None = None
    for placements in devices.place(source.config):
        device = placements[0].device
        problem, config = await _rehearse_on(device, source, limits)
        if problem:
            # Where there is no GPU, names, datatypes and shapes can be compared all the same.
            beside = "" if device == CPU else (await _rehearse_on(CPU, source, limits))[0]
            return "; ".join(dict.fromkeys(filter(None, (problem, beside)))), None
    return "", config


async def _rehearse_on(device: str, source: ModelSource, limits: EngineLimits) -> tuple[str, ModelConfig | None]:
    rehearsal = Rehearsal(source, device, limits)
    try:
        await rehearsal.run()
    except ArtifactError as error:
        return reason_for(source.name, source.version, str(error)), None
    return "", rehearsal.config
