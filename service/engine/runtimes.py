"""Which runtime, at which precision, serves a model best on this machine? All of them are tried, one after the other.

Nothing is changed by that: a lower precision changes answers, so it has to be written into the configuration.
"""

import importlib.util
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.config import ModelConfig, with_runtime
from service.artifact.golden import Golden, read_golden
from service.artifact.parameters import Precision
from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.engine.blueprint import Blueprint
from service.engine.device import Devices, Placement
from service.engine.launch import Launch, Launched
from service.engine.scheduling.batch import Batch
from service.engine.source import EngineLimits, ModelSource
from service.engine.trials.findings import Findings
from service.engine.trials.samples import calm
from service.errors import ArtifactError
from service.workers.instance import Instance
from service.workers.trial import TrialFailed, WorkerEnded

CANDIDATES: tuple[tuple[str, Precision], ...] = (("onnxruntime", "f32"), ("openvino", "f32"), ("openvino", "bf16"))
"""The first is the reference for answers."""
ROWS = 8
"""Rows whose answers are compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one runtime at one precision: findings, or the `problem` that kept it from being tried.

    `error` is the largest difference of its answers from the reference's, as a share of the largest answer.
    """

    backend: str
    precision: Precision
    findings: Findings | None = None
    error: float = 0.0
    problem: str = ""

    @property
    def throughput(self) -> float:
        """Rows a second at the best batch size, all instances together; 0 without findings."""
        if self.findings is None or not self.findings.buckets:
            return 0.0
        return self.findings.instances * max(one.rows / one.median for one in self.findings.buckets)

    @property
    def latency(self) -> float:
        """Seconds that a lone row takes; infinite without findings."""
        return self.findings.buckets[0].median if self.findings and self.findings.buckets else float("inf")


async def compare(source: ModelSource, devices: Devices, limits: EngineLimits) -> AsyncIterator[Outcome]:
    """The outcome of every candidate, as they come; where there is no configuration, as the first completes it."""
    golden = read_golden(Path(source.golden)) if source.golden else None
    reference: list[NDArray[Any]] | None = None
    config = source.config
    for backend, precision in CANDIDATES:
        if importlib.util.find_spec(backend) is None:
            yield Outcome(backend=backend, precision=precision, problem="isn't installed")
            continue
        if config:
            source = replace(source, config=with_runtime(config, backend=backend, precision=precision))
        trial = _Candidate(source, devices, limits, golden)
        try:
            findings, answers = await trial.run()
        except ArtifactError as error:
            yield Outcome(backend=backend, precision=precision, problem=str(error))
            continue
        reference = reference or answers
        config = config or trial.config
        yield Outcome(backend=backend, precision=precision, findings=findings, error=_difference(reference, answers))


def best(outcomes: list[Outcome], *, objective: str, most_error: float) -> Outcome | None:
    """The outcome with the largest throughput or the least latency, of those that answer as the reference does."""
    sound = [one for one in outcomes if one.findings and one.error <= most_error]
    if objective == "latency":
        return min(sound, key=lambda one: one.latency, default=None)
    return max(sound, key=lambda one: one.throughput, default=None)


class _Candidate:
    """Owns the instances of one candidate while it is tried. Implements `InstanceListener`, for nobody."""

    def __init__(self, source: ModelSource, devices: Devices, limits: EngineLimits, golden: Golden | None) -> None:
        self._blueprint = Blueprint(source, limits)
        self._devices = devices
        self._limits = limits
        self._golden = golden

    @property
    def config(self) -> ModelConfig:
        """The configuration as completed from the model."""
        return self._blueprint.config

    async def run(self) -> tuple[Findings, list[NDArray[Any]]]:
        """The findings, and the answers to a few rows. Raises ArtifactError."""
        placements = self._devices.place(self._blueprint.source.config)
        launched = await Launch(
            placements=placements[0],  # where a model has several devices, the first is measured
            config=self._blueprint.source.config,
            completed=lambda: self._blueprint.config,
            golden=self._golden,
            devices=self._devices,
            cache=self._limits.findings,
            make=self._instance,
        ).run()
        try:
            return launched.findings, await self._answers(launched)
        except (TrialFailed, WorkerEnded) as error:
            raise ArtifactError(f"can't be tried: {error}") from error
        finally:
            for instance in launched.instances:
                await instance.stop()

    async def _answers(self, launched: Launched) -> list[NDArray[Any]]:
        config = self._blueprint.config
        rows = min(config.max_batch_size or 1, ROWS)
        samples = self._golden.inputs if self._golden else {}
        inputs = calm(config.inputs, rows, samples, batched=config.max_batch_size > 0)
        return (await launched.instances[0].attempt(inputs)).outputs

    def _instance(self, placement: Placement) -> Instance[Batch]:
        plan = self._blueprint.inspection(placement)
        return Instance(plan, partial(self._resolve, plan), self._limits.patience, self._blueprint.source.name)

    def _resolve(self, plan: Plan, signature: Signature) -> tuple[Plan, "_Candidate"]:
        return self._blueprint.resolve(plan, signature), self

    def instance_ready(self, instance: Instance[Batch]) -> None:
        """See `InstanceListener`."""

    def job_done(self, instance: Instance[Batch], job: Batch, outputs: Any, timings: Any) -> None:
        """See `InstanceListener`."""

    def job_failed(self, instance: Instance[Batch], job: Batch, text: str) -> None:
        """See `InstanceListener`."""

    def instance_lost(self, instance: Instance[Batch], jobs: Any, *, blameless: bool) -> None:
        """See `InstanceListener`."""


def _difference(expected: list[NDArray[Any]], found: list[NDArray[Any]]) -> float:
    """The largest difference in a float output, as a share of that output's largest value."""
    worst = 0.0
    for one, other in zip(expected, found, strict=True):
        if one.dtype.kind == "f" and one.size:
            scale = max(float(np.abs(one).max()), 1e-12)
            worst = max(worst, float(np.abs(one.astype(np.float64) - other.astype(np.float64)).max()) / scale)
    return worst
