"""One generation of a model: one version under one configuration, with its scheduler and its worker instances."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import structlog
from numpy.typing import NDArray

from service.artifact.card import Card
from service.artifact.config import DynamicBatching, ModelConfig, complete
from service.artifact.golden import read_golden
from service.artifact.queue_policy import QueuePolicy
from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.engine.admission import Admission
from service.engine.device import CPU, GPU_TOKENS, Devices, Placement
from service.engine.exchange import Exchange, Receiver
from service.engine.launch import Launch
from service.engine.profile import LatencyProfile
from service.engine.quarantine import Quarantine
from service.engine.remote.address import RemoteAddress
from service.engine.scheduling.batch import Batch
from service.engine.scheduling.dynamic import BatchingPolicy, DynamicBatcher
from service.engine.trials.findings import FindingsCache
from service.engine.trials.independence import TOLERANCE
from service.errors import HoneError, NotReady, PoisonRequest
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics
from service.workers.instance import Instance
from service.workers.patience import Patience
from service.workers.region import fits_slot

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLimits:
    """What every model gets unless its configuration says otherwise. Times are in seconds.

    `remotes` are the servers that a configuration may name as the one that computes.
    """

    default_deadline: float = 30.0
    max_queued_requests: int = 1024
    max_queued_bytes: int = 256 * 1024 * 1024
    max_output_bytes: int = 256 * 1024 * 1024
    findings: FindingsCache = field(default_factory=lambda: FindingsCache(None))
    patience: Patience = field(default_factory=Patience)
    remotes: Mapping[str, RemoteAddress] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSource:
    """Where a version's files are and what is written about it; `config` and `card` are None where there are none.

    A version that a remote server computes has no file but the configuration that names the server: `path` is that.
    `golden` is the path of its golden samples, empty for a model file by itself.
    """

    name: str
    version: str
    path: str
    size_bytes: int
    sha256: str
    config: ModelConfig | None
    card: Card | None
    golden: str = ""


class ServedModel:
    """Owns the instances, the scheduler and the numbers of one generation, and the admission of its requests."""

    def __init__(self, source: ModelSource, devices: Devices, metrics: ModelMetrics, limits: EngineLimits) -> None:
        self.name = source.name
        self.version = source.version
        self.metrics = metrics
        self.live = 0
        self._source = source
        self._devices = devices
        self._limits = limits
        self._quarantine = Quarantine()
        self._scheduler: DynamicBatcher | None = None
        self._admission: Admission | None = None
        self._config: ModelConfig | None = source.config

    @property
    def config(self) -> ModelConfig:
        """The configuration, completed from the model itself. Raises NotReady before the model is loaded."""
        if self._config is None or self._admission is None:
            raise NotReady(f'model "{self.name}" is still loading')
        return self._config

    @property
    def ready(self) -> bool:
        """Whether a worker is there to compute."""
        return self._scheduler is not None and self._scheduler.ready

    @property
    def problem(self) -> str:
        """Why no worker is there to compute; empty while one is."""
        if self.ready or self._scheduler is None:
            return ""
        problems = [instance.problem for instance in self._scheduler.instances if instance.problem]
        return problems[0] if problems else "its worker ended and is being restarted"

    async def load(self) -> None:
        """Start the instances and wait for them. Raises ArtifactError with what is wrong with the model."""
        began = time.monotonic()
        launched = await Launch(
            config=self._source.config,
            completed=lambda: self.config,
            golden=read_golden(Path(self._source.golden)) if self._source.golden else None,
            devices=self._devices,
            cache=self._limits.findings,
            make=self._instance,
        ).run()
        assert self._scheduler
        plan, findings = launched.instances[0].plan, launched.findings
        independent = findings.influence <= self._tolerance()
        if not independent:
            _log.warning(
                "a batch-mate changes answers: every request is computed alone",
                model=self.name,
                version=self.version,
                change=findings.influence,
            )
        self._scheduler.serve(
            launched.instances,
            tokens=self._devices.tokens(plan.device, plan.intra_op_threads),
            profile=LatencyProfile(findings.buckets) if findings.buckets else None,
            join=independent,
        )
        self.metrics.batch_independent = independent
        self._describe(time.monotonic() - began)

    async def stop(self) -> None:
        """End the instances; what still waits is failed."""
        self.metrics.ready = False
        if self._scheduler:
            await self._scheduler.stop()

    # -- admission

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        """Check the request against the configuration and queue it. Raises a HoneError when it isn't taken."""
        admission, scheduler = self._admission, self._scheduler
        if admission is None or scheduler is None:
            raise NotReady(f'model "{self.name}" is still loading')
        exchange = admission.exchange(request, receiver, self)
        if self._quarantine and self._quarantine.holds(exchange.inputs):
            raise PoisonRequest("the worker process ended each time that it held these inputs; try others")
        scheduler.submit(exchange)
        self.live += 1
        return exchange

    def ended(self, exchange: Exchange, error: HoneError | None) -> None:
        """See `ExchangeOwner`."""
        assert self._admission
        self.live -= 1
        self._admission.ended(exchange, error)
        if not exchange.started and self._scheduler:
            self._scheduler.left(exchange)

    # -- answers

    def _respond(self, exchange: Exchange, arrays: Sequence[NDArray[Any]]) -> None:
        outputs = []
        for position, spec in exchange.outputs:
            outputs.append(Tensor(name=spec.name, datatype=spec.datatype, array=arrays[position]))
        exchange.answer(
            InferResponse(model=self.name, version=self.version, outputs=tuple(outputs), id=exchange.request.id)
        )

    def _condemn(self, exchange: Exchange) -> None:
        self._quarantine.add(exchange.inputs)

    # -- loading

    def _instance(self, placement: Placement) -> Instance[Batch]:
        """An instance at this place, with a plan to load the model and to read its signature."""
        config = self._source.config
        plan = Plan(
            backend=config.backend if config else "onnxruntime",
            path=self._source.path,
            sha256=self._source.sha256,
            precision=config.hone.precision if config else "f32",
            device=placement.device,
            intra_op_threads=placement.threads,
            inter_op_threads=(config.hone.inter_op_threads if config else None) or 1,
        )
        label = f"{self.name}/{self.version}"
        return Instance(plan, partial(self._resolve, plan), self._limits.patience, label)

    def _tolerance(self) -> float:
        """How much a batch-mate may change an answer, as a share of the largest one."""
        hone = self.config.hone
        return TOLERANCE[hone.precision] if hone.batch_tolerance is None else hone.batch_tolerance

    def _resolve(self, plan: Plan, signature: Signature) -> tuple[Plan, DynamicBatcher]:
        """Complete the configuration by what the runtime found, once; the plan that follows from it for an instance."""
        if self._scheduler is None:
            self._config = complete(self._source.config, self.name, signature)
            self._admission = Admission(self._config, self.metrics, default_deadline=self._limits.default_deadline)
            self._scheduler = self._batcher(self._config, plan.device)
        config = self.config
        resolved = msgspec.structs.replace(
            plan,
            max_batch_size=config.max_batch_size,
            inputs=config.inputs,
            outputs=config.outputs,
            slots=1 if plan.device == CPU else GPU_TOKENS,
            max_output_bytes=self._limits.max_output_bytes,
        )
        return msgspec.structs.replace(resolved, warm_batches=_warm_batches(resolved)), self._scheduler

    def _batcher(self, config: ModelConfig, device: str) -> DynamicBatcher:
        batching = config.dynamic_batching
        policy = BatchingPolicy(
            max_rows=config.max_batch_size,
            join=batching is not None,
            delay=batching.max_queue_delay_microseconds / 1e6 if batching else 0.0,
            preferred=batching.preferred_batch_size if batching else (),
            levels=_queue_policies(batching),
            max_queued_requests=self._limits.max_queued_requests,
            max_queued_bytes=self._limits.max_queued_bytes,
            shapes_vary=any(-1 in spec.shape for spec in config.inputs),
        )
        return DynamicBatcher(policy, self._devices.get(device), self.metrics, self._respond, self._condemn)

    def _describe(self, seconds: float) -> None:
        hone = self.config.hone
        self.metrics.load_seconds = seconds
        self.metrics.size_bytes = self._source.size_bytes
        self.metrics.info = {
            "family": hone.family,
            "variant": hone.variant,
            "backend": self.config.backend,
            "precision": hone.precision,
        }
        self.metrics.card_metrics = dict(self._source.card.metrics) if self._source.card else {}


def _warm_batches(plan: Plan) -> tuple[int, ...]:
    """One row and a full batch; not the latter where it is larger than a slot, and nothing where lengths vary, since
    nobody knows which of them the model can take.
    """
    if any(-1 in spec.shape for spec in plan.inputs):
        return ()
    return (1, plan.max_batch_size) if plan.max_batch_size > 1 and fits_slot(plan) else (1,)


def _queue_policies(batching: DynamicBatching | None) -> tuple[QueuePolicy, ...]:
    """One policy a priority level, the first level first; a single one where there are no levels."""
    if batching is None:
        return (QueuePolicy(),)
    own, default = batching.priority_queue_policies, batching.default_queue_policy
    return tuple(own.get(level, default) for level in range(1, batching.priority_levels + 1)) or (default,)
