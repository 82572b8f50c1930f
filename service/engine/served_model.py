"""One generation of a model: one version under one configuration, with its scheduler and its worker instances."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from numpy.typing import NDArray

from service.artifact.config import ModelConfig
from service.artifact.golden import read_golden
from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.engine.admission import Admission
from service.engine.blueprint import Blueprint
from service.engine.device import Devices, Placement
from service.engine.exchange import Exchange, Receiver
from service.engine.held_file import HeldFile
from service.engine.launch import Launch, Launched
from service.engine.padding import Padding
from service.engine.profile import LatencyProfile
from service.engine.quarantine import Quarantine
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.dynamic import DynamicBatcher
from service.engine.source import EngineLimits, ModelSource
from service.engine.splitting import Parts
from service.errors import HoneError, NotReady, PoisonRequest
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics
from service.workers.instance import Instance

_log = structlog.get_logger()


class ServedModel:
    """Owns the instances, the scheduler and the numbers of one generation, and the parts of requests that were split.

    Implements `Servable`.
    """

    def __init__(self, source: ModelSource, devices: Devices, metrics: ModelMetrics, limits: EngineLimits) -> None:
        self.name = source.name
        self.version = source.version
        self.metrics = metrics
        self._blueprint = Blueprint(source, limits)
        self._devices = devices
        self._limits = limits
        self._quarantine = Quarantine()
        self._file: HeldFile | None = None
        self._parts: dict[int, Parts] = {}  # by the identity of the exchange that was split
        self._scheduler: DynamicBatcher | None = None
        self._admission: Admission | None = None
        self._padding: Padding | None = None
        self._most_rows = 0

    @property
    def config(self) -> ModelConfig:
        """The configuration, completed from the model itself. Raises NotReady before the model is loaded."""
        return self._blueprint.config

    @property
    def ready(self) -> bool:
        """Whether a worker is there to compute."""
        return self._scheduler is not None and self._scheduler.ready

    @property
    def problem(self) -> str:
        """Why no worker is there to compute; empty while one is."""
        if self.ready or self._scheduler is None:
            return ""
        problems = [instance.problem for instance in self._scheduler.crew.instances if instance.problem]
        return problems[0] if problems else "its worker ended and is being restarted"

    async def load(self) -> None:
        """Start the instances and wait for them. Raises ArtifactError with what is wrong with the model."""
        began = time.monotonic()
        source = self._blueprint.source
        self._file = HeldFile(source.path)
        try:
            launched = await Launch(
                config=source.config,
                completed=lambda: self.config,
                golden=read_golden(Path(source.golden)) if source.golden else None,
                devices=self._devices,
                cache=self._limits.findings,
                make=partial(self._instance, self._file),
            ).run()
        except BaseException:
            self._file.close()
            raise
        assert self._scheduler
        self._serve(self._scheduler, launched)
        self._describe(time.monotonic() - began)

    async def drain(self, seconds: float) -> bool:
        """Wait until all that was admitted has ended, for so long at most; whether it has."""
        return self._admission is None or await self._admission.drain(seconds)

    async def stop(self) -> None:
        """End the instances; what still waits is failed."""
        self.metrics.ready = False
        if self._scheduler:
            await self._scheduler.stop()
        if self._file:
            self._file.close()

    # -- admission

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Check the request against the configuration and queue it. Raises a HoneError when it isn't taken."""
        admission, scheduler = self._admission, self._scheduler
        if admission is None or scheduler is None:
            raise NotReady(f'model "{self.name}" is still loading')
        exchange = admission.exchange(request, receiver, self)
        if self._quarantine and self._quarantine.holds(exchange.inputs):
            raise PoisonRequest("the worker process ended each time that it held these inputs; try others")
        if exchange.rows > self._most_rows > 0:
            self._split(exchange, scheduler)
        else:
            scheduler.submit(exchange)
        admission.live += 1
        return exchange

    def precheck(self, timeout: float | None) -> None:
        """Raises a HoneError for a request that would be refused whatever it holds, by the time that it grants."""
        if self._scheduler and self._admission:
            self._scheduler.precheck(self._admission.allowance(timeout))

    def _split(self, exchange: Exchange, scheduler: DynamicBatcher) -> None:
        exchange.started = exchange.admitted  # it never waits itself, its parts do
        parts = self._parts[id(exchange)] = Parts(exchange, scheduler)
        try:
            parts.submit(self._most_rows)
        except HoneError:
            del self._parts[id(exchange)]
            raise

    def ended(self, exchange: Exchange, error: HoneError | None) -> None:
        """See `ExchangeOwner`."""
        assert self._admission
        self._admission.ended(exchange, error)
        if self._parts and (parts := self._parts.pop(id(exchange), None)):
            parts.abandon()
        if not exchange.started and self._scheduler:
            self._scheduler.left(exchange)

    # -- answers

    def _respond(self, exchange: Exchange, arrays: Sequence[NDArray[Any]]) -> None:
        outputs = []
        for position, spec in exchange.outputs:
            array = arrays[position]
            if self._padding:
                array = self._padding.unpad(position, array, exchange.lengths)
            outputs.append(Tensor(name=spec.name, datatype=spec.datatype, array=array))
        exchange.answer(
            InferResponse(model=self.name, version=self.version, outputs=tuple(outputs), id=exchange.request.id)
        )

    def _waste(self, exchanges: Sequence[Exchange]) -> float:
        assert self._padding
        return self._padding.waste([(exchange.rows, exchange.lengths) for exchange in exchanges])

    def _condemn(self, exchange: Exchange) -> None:
        self._quarantine.add(exchange.inputs)

    # -- loading

    def _instance(self, file: HeldFile, placement: Placement) -> Instance[Batch]:
        plan = self._blueprint.inspection(placement, file.path)
        return Instance(plan, partial(self._resolve, plan), self._limits.patience, f"{self.name}/{self.version}")

    def _resolve(self, plan: Plan, signature: Signature) -> tuple[Plan, DynamicBatcher]:
        """The plan that an instance computes by, and whom it works for."""
        resolved = self._blueprint.resolve(plan, signature)
        if self._scheduler is None:
            config = self._blueprint.config
            self._admission = Admission(config, self.metrics, default_deadline=self._limits.default_deadline)
            self._padding = self._admission.padding
            self._most_rows = config.max_batch_size
            self._scheduler = DynamicBatcher(
                self._blueprint.policy(self._waste),
                self._devices.get(plan.device),
                self.metrics,
                self._respond,
                self._condemn,
            )
        return resolved, self._scheduler

    def _serve(self, scheduler: DynamicBatcher, launched: Launched) -> None:
        plan, findings = launched.instances[0].plan, launched.findings
        independent = findings.influence <= self._blueprint.tolerance
        if not independent:
            _log.warning(
                "a batch-mate changes answers: every request is computed alone",
                model=self.name,
                version=self.version,
                change=findings.influence,
            )
        self.metrics.batch_independent = independent
        scheduler.serve(
            launched.instances,
            tokens=self._devices.tokens(plan.device, plan.intra_op_threads),
            profile=LatencyProfile(findings.buckets) if findings.buckets else None,
            join=independent,
        )

    def _describe(self, seconds: float) -> None:
        hone, source = self.config.hone, self._blueprint.source
        self.metrics.load_seconds = seconds
        self.metrics.size_bytes = source.size_bytes
        self.metrics.info = {
            "family": hone.family,
            "variant": hone.variant,
            "backend": self.config.backend,
            "precision": hone.precision,
        }
        self.metrics.card_metrics = dict(source.card.metrics) if source.card else {}
