"""One generation of a model: one version under one configuration, with its scheduler and its worker instances."""

import asyncio
import time
from collections.abc import Callable, Sequence
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
from service.engine.batch_spans import BatchSpans
from service.engine.blueprint import Blueprint
from service.engine.device import Devices, Placement
from service.engine.exchange import Exchange, Receiver
from service.engine.held_file import HeldFile
from service.engine.launch import Launch, Launched
from service.engine.padding import Padding
from service.engine.profile import LatencyProfile
from service.engine.quarantine import Quarantine
from service.engine.response_cache import ModelCache
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.dynamic import DynamicBatcher
from service.engine.scheduling.scheduler import Scheduler
from service.engine.scheduling.sequence import SequenceScheduler
from service.engine.scheduling.station import Station
from service.engine.source import EngineLimits, ModelSource
from service.engine.splitting import Parts
from service.engine.transformation import Transformation, read_transformation
from service.engine.trials.findings import is_independent
from service.errors import BackendError, HoneError, NotReady
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics
from service.workers.instance import Instance
from service.workers.listener import InstanceListener

_log = structlog.get_logger()


class ServedModel:
    """Owns the instances, the scheduler and the numbers of one generation, and the parts of requests that were split.

    Implements `Servable`.
    """

    def __init__(
        self,
        source: ModelSource,
        devices: Devices,
        metrics: ModelMetrics,
        limits: EngineLimits,
        requests: ModelMetrics | None = None,
    ) -> None:
        """`requests` counts requests, where those of clients are counted elsewhere."""
        self._requests = requests or metrics
        self.name = source.name
        self.version = source.version
        self.metrics = metrics
        self._blueprint = Blueprint(source, limits)
        self._devices = devices
        self._limits = limits
        self._quarantine = Quarantine()
        self._file: HeldFile | None = None
        self._transformation: Transformation | None = None
        self._parts: dict[int, Parts] = {}  # by the identity of the exchange that was split
        self._batcher: DynamicBatcher | None = None
        self._scheduler: DynamicBatcher | SequenceScheduler | None = None
        self._admission: Admission | None = None
        self._padding: Padding | None = None
        self._cache: ModelCache | None = None
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

    @property
    def transformation(self) -> Transformation | None:
        """See `Servable`."""
        return self._transformation

    @property
    def sequences(self) -> SequenceScheduler | None:
        """See `Servable`."""
        return self._scheduler if isinstance(self._scheduler, SequenceScheduler) else None

    async def load(self) -> None:
        """Start the instances and wait for them. Raises ArtifactError with what is wrong with the model."""
        began = time.monotonic()
        self._transformation = await asyncio.to_thread(read_transformation, self._blueprint.source)
        file = self._file = await asyncio.to_thread(HeldFile, self._blueprint.source.path)
        launched = await self._launch(partial(self._instance, file))
        assert self._scheduler
        self._serve(self._scheduler, launched)
        self._describe(time.monotonic() - began)

    async def _launch(self, make: Callable[[Placement], Instance[Batch]]) -> list[Launched]:
        """The instances on one device after the other: all of them, or none."""
        source = self._blueprint.source
        golden = read_golden(Path(source.golden)) if source.golden else None
        launched: list[Launched] = []
        try:
            for placements in self._devices.place(source.config):
                launch = Launch(
                    placements=placements,
                    config=source.config,
                    completed=lambda: self.config,
                    golden=golden,
                    devices=self._devices,
                    cache=self._limits.findings,
                    make=make,
                )
                launched.append(await launch.run())
        except BaseException:
            await asyncio.gather(*[instance.stop() for device in launched for instance in device.instances])
            self._let_go()
            raise
        return launched

    async def linger(self, seconds: float) -> None:
        """See `Servable`."""
        if self.sequences:
            await self.sequences.over(seconds)

    async def drain(self, seconds: float) -> bool:
        """Wait until all that was admitted has ended, for so long at most; whether it has."""
        if self.sequences:
            self.sequences.close()  # nobody can send their next steps: who waits gets their slots
        return self._admission is None or await self._admission.drain(seconds)

    async def stop(self) -> None:
        """End the instances; what still waits is failed."""
        self.metrics.ready = False
        if self._scheduler:
            await self._scheduler.stop()
        if self._cache:
            await self._cache.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._file:
            self._file.close()

    # -- admission

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Check the request against the configuration and queue it. Raises a HoneError when it isn't taken."""
        admission, scheduler = self._admission, self._scheduler
        if admission is None or scheduler is None:
            raise NotReady(f'model "{self.name}" is still loading')
        try:
            exchange = admission.exchange(request, receiver, self)
            if self._cache is None or not self._cache.answers(exchange):
                if self._quarantine.until:
                    self._vet(exchange)
                if exchange.rows > self._most_rows > 0:
                    self._split(exchange, scheduler)
                else:
                    scheduler.submit(exchange)
        except HoneError:
            if isinstance(scheduler, SequenceScheduler):
                scheduler.refused(request)
            raise
        admission.live += 1
        return exchange

    def precheck(self, timeout: float | None) -> None:
        """Raises a HoneError for a request that would be refused whatever it holds, unless that grants less time.

        Not where answers are kept: whether one is there, only the body says.
        """
        if self._scheduler and self._admission and self._cache is None:
            self._scheduler.precheck(self._admission.longest(timeout), self._admission.least_weight)

    def _vet(self, exchange: Exchange) -> None:
        self._quarantine.check(exchange.inputs, exchange.rows, self._most_rows)  # as a worker gets them: padded

    def _split(self, exchange: Exchange, scheduler: Scheduler) -> None:
        exchange.started = exchange.admitted  # it never waits itself, its parts do
        parts = Parts(exchange, scheduler)
        parts.submit(self._most_rows)
        self._parts[id(exchange)] = parts

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        """See `ExchangeOwner`."""
        assert self._admission
        self._admission.ended(exchanges, error)
        if error is None and not self._parts:
            return
        for exchange in exchanges:
            if parts := self._parts.pop(id(exchange), None):
                parts.abandon()
            if not exchange.started and self._scheduler:
                self._scheduler.left(exchange)

    # -- answers

    def _respond(self, exchange: Exchange, arrays: Sequence[NDArray[Any]]) -> None:
        try:
            outputs = []
            for position, spec in exchange.outputs:
                array = arrays[position]
                if self._padding:
                    array = self._padding.unpad(position, array, exchange.lengths)
                outputs.append(Tensor(name=spec.name, datatype=spec.datatype, array=array))
            exchange.emit(
                InferResponse(model=self.name, version=self.version, outputs=tuple(outputs), id=exchange.request.id)
            )
        except Exception:
            _log.exception("can't make an answer", **exchange.request.named)
            exchange.fail(BackendError("an answer couldn't be made of what the model computed"))

    def _waste(self, exchanges: Sequence[Exchange]) -> float:
        assert self._padding
        return self._padding.waste([(exchange.rows, exchange.lengths) for exchange in exchanges])

    def _condemn(self, exchange: Exchange) -> None:
        self._quarantine.add(exchange.inputs)

    # -- loading

    def _instance(self, file: HeldFile, placement: Placement) -> Instance[Batch]:
        plan = self._blueprint.inspection(placement, file.path)
        return Instance(plan, partial(self._resolve, plan), self._limits.patience, f"{self.name}/{self.version}")

    def _resolve(self, plan: Plan, signature: Signature) -> tuple[Plan, InstanceListener[Batch]]:
        """The plan that an instance computes by, and whom it works for."""
        resolved = self._blueprint.resolve(plan, signature)
        if self._batcher is None:
            self._batcher = self._schedule(self._blueprint.config)
        return resolved, BatchSpans(self._batcher, self.name, self.version) if self._limits.traced else self._batcher

    def _schedule(self, config: ModelConfig) -> DynamicBatcher:
        """Have requests scheduled as the configuration says; for whom the instances work."""
        self._admission = Admission(config, self._requests, default_deadline=self._limits.default_deadline)
        self._padding = self._admission.padding
        policy = self._blueprint.policy(self._waste)
        batcher = DynamicBatcher(policy, self.metrics, self._respond, self._condemn)
        if config.sequence_batching:
            self._scheduler = SequenceScheduler(config, batcher, self.metrics, policy, self._vet)
        else:
            self._scheduler, self._most_rows = batcher, config.max_batch_size
        return batcher

    def _serve(self, scheduler: DynamicBatcher | SequenceScheduler, launched: Sequence[Launched]) -> None:
        log, tolerance = _log.bind(model=self.name, version=self.version), self._blueprint.tolerance
        verdicts = [is_independent(device.findings, tolerance, log) for device in launched]  # each says why not
        independent = self.metrics.batch_independent = all(verdicts)
        assert self._admission
        self._admission.weights = launched[0].findings.shares  # their shape hardly differs by device
        if not independent:
            self._admission.keep_whole()
        scheduler.serve([self._station(device) for device in launched], join=independent)
        if self.config.response_cache:
            self._cache = self._limits.response_cache.open(self.config, self.version, self.metrics)

    def _station(self, launched: Launched) -> Station:
        plan, times = launched.instances[0].plan, launched.findings.buckets
        return Station(
            self._devices.get(plan.device),
            launched.instances,
            name=plan.device,
            tokens=self._devices.tokens(plan.device, plan.intra_op_threads),
            profile=LatencyProfile(times, stepped=bool(plan.batch_buckets)) if times else None,
            buckets=plan.batch_buckets,
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
