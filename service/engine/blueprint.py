"""How a generation is built: from its files and the server's limits to plans for workers and a batching policy."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import msgspec

from service.artifact.batching import DynamicBatching
from service.artifact.card import CARD_NAME
from service.artifact.config import ModelConfig, complete, decoder_config
from service.artifact.queue_policy import QueuePolicy
from service.artifact.signature import Signature
from service.artifact.transforms import check_transforms
from service.backends.plan import Plan
from service.engine.device import CPU, GPU_TOKENS, Placement
from service.engine.exchange import Exchange
from service.engine.profile import bucket_sizes
from service.engine.scheduling.policy import BatchingPolicy
from service.engine.source import EngineLimits, ModelSource
from service.engine.trials.independence import TOLERANCE
from service.errors import ArtifactError, NotReady
from service.workers.region import fits_slot

SLOTS = 2


class Blueprint:
    """Owns the configuration of one generation, from what is written to what the runtime completed it with."""

    def __init__(self, source: ModelSource, limits: EngineLimits) -> None:
        config = source.config
        if config and config.hone.generate:
            source = replace(source, config=decoder_config(config))
        self.source = source
        self._limits = limits
        self._config: ModelConfig | None = None

    @property
    def config(self) -> ModelConfig:
        """The configuration, completed from the model itself. Raises NotReady before a worker has read the model."""
        if self._config is None:
            raise NotReady(f'model "{self.source.name}" is still loading')
        return self._config

    def inspection(self, placement: Placement, path: str = "") -> Plan:
        """The plan by which an instance at this place loads the model and reads its signature; `path` is where the
        file can be read, if elsewhere than the source says.
        """
        config = self.source.config
        on_gpu = placement.device != CPU
        graphs = on_gpu and config is not None and config.hone.cuda_graphs
        return Plan(
            backend=config.backend if config else "onnxruntime",
            path=path or self.source.path,
            sha256=self.source.sha256,
            precision=config.hone.precision if config else "f32",
            device=placement.device,
            intra_op_threads=placement.threads,
            inter_op_threads=(config.hone.inter_op_threads if config else None) or 1,
            batch_buckets=_buckets(config, graphs=graphs) if config else (),
            cuda_graphs=graphs,
            nice=0 if on_gpu else self._limits.worker_nice,
        )

    def resolve(self, plan: Plan, signature: Signature) -> Plan:
        """The plan to compute by. Completes the configuration by what the runtime found, once.

        Raises ArtifactError where model and configuration differ.
        """
        if self._config is None:
            self._config = complete(self.source.config, self.source.name, signature)
            _check_card(self.source, self._config)
        if self._config.hone.cuda_graphs:
            _check_shapes(self._config)
        resolved = msgspec.structs.replace(
            plan,
            max_batch_size=self._config.max_batch_size,
            inputs=self._config.model_inputs,
            outputs=self._config.model_outputs,
            slots=SLOTS,
            in_flight=1 if plan.device == CPU else GPU_TOKENS,
            max_output_bytes=self._limits.max_output_bytes,
        )
        return msgspec.structs.replace(resolved, warm_batches=_warm_batches(resolved))

    def policy(self, waste: Callable[[Sequence[Exchange]], float]) -> BatchingPolicy:
        """How requests are queued and joined; `waste` is asked where inputs are padded."""
        config, batching = self.config, self.config.joining
        return BatchingPolicy(
            max_rows=config.max_batch_size,
            join=batching is not None,
            delay=batching.max_queue_delay_microseconds / 1e6 if batching else 0.0,
            preferred=batching.preferred_batch_size if batching else (),
            levels=_queue_policies(batching),
            waste=waste if config.hone.lengths else None,
            max_queued_requests=self._limits.max_queued_requests,
            max_queued_bytes=self._limits.max_queued_bytes,
            shapes_vary=any(-1 in spec.shape for spec in config.model_inputs),
        )

    @property
    def tolerance(self) -> float:
        """How much a batch-mate may change an answer, as a share of the largest one."""
        hone = self.config.hone
        return TOLERANCE[hone.precision] if hone.batch_tolerance is None else hone.batch_tolerance


def _check_card(source: ModelSource, config: ModelConfig) -> None:
    """Raises ArtifactError where the transforms on the card don't make what the model takes."""
    if source.card:
        place = f"{source.name}/{source.version}/{CARD_NAME}"
        check_transforms(
            source.card.transforms, config.inputs, config.hone.lengths, batched=config.max_batch_size > 0, source=place
        )


def _warm_batches(plan: Plan) -> tuple[int, ...]:
    """One row and a full batch; not the latter where it is larger than a slot, and nothing where lengths vary, since
    nobody knows which of them the model can take. All buckets where there are any, the largest first: what it needs of
    memory is enough for the others.
    """
    if any(-1 in spec.shape for spec in plan.inputs):
        return ()
    if plan.batch_buckets:
        return plan.batch_buckets[::-1]
    return (1, plan.max_batch_size) if plan.max_batch_size > 1 and fits_slot(plan) else (1,)


def _buckets(config: ModelConfig, *, graphs: bool) -> tuple[int, ...]:
    """The only numbers of rows that a batch may have; empty for any. Graphs need some."""
    return config.hone.batch_buckets or (
        bucket_sizes(config.max_batch_size) if graphs and config.max_batch_size else ()
    )


def _check_shapes(config: ModelConfig) -> None:
    """Raises ArtifactError unless all shapes but the batch's are fixed: a graph is recorded for one shape."""
    for spec in (*config.model_inputs, *config.model_outputs):
        if -1 in spec.shape:
            raise ArtifactError(
                f'{config.name}: hone.cuda_graphs needs fixed shapes, "{spec.name}" has one that varies'
            )


def _queue_policies(batching: DynamicBatching | None) -> tuple[QueuePolicy, ...]:
    """One policy a priority level, the first level first; a single one where there are no levels."""
    if batching is None:
        return (QueuePolicy(),)
    own, default = batching.priority_queue_policies, batching.default_queue_policy
    return tuple(own.get(level, default) for level in range(1, batching.priority_levels + 1)) or (default,)
