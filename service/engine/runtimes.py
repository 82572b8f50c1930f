"""Which runtime, at which precision, serves a model best on this machine? All of them are tried, in turns.

Nothing is changed by that: a lower precision changes answers, so it has to be written into the configuration.
"""

import asyncio
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from service.artifact.config import ModelConfig, with_runtime
from service.artifact.golden import Golden, read_golden
from service.artifact.parameters import Precision
from service.artifact.signature import Signature
from service.backends.plan import Plan
from service.engine.blueprint import Blueprint
from service.engine.device import Devices, Placement
from service.engine.launch import Launch, Launched
from service.engine.profile import BucketTime
from service.engine.scheduling.batch import Batch
from service.engine.source import EngineLimits, ModelSource
from service.engine.trials.bench import Bench
from service.engine.trials.difference import largest
from service.engine.trials.findings import Findings
from service.engine.trials.rounds import measure
from service.engine.trials.tryout import Tryout
from service.errors import ArtifactError
from service.workers.instance import Instance
from service.workers.trial import TrialFailed

CANDIDATES: tuple[tuple[str, Precision], ...] = (("onnxruntime", "f32"), ("openvino", "f32"), ("openvino", "bf16"))
"""The first is the reference for answers."""
ROWS = 8
"""Rows whose answers are compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one runtime at one precision: findings, or the `problem` that kept it from being tried.

    `config` is the configuration that it was tried with, completed from the model; None where nobody could read it.
    `error` is the largest difference of its answers from the reference's (see `trials/difference.py`).
    """

    backend: str
    precision: Precision
    config: ModelConfig | None = None
    findings: Findings | None = None
    error: float = 0.0
    problem: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether its batches were timed."""
        return self.findings is not None and bool(self.findings.buckets)

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


async def compare(source: ModelSource, devices: Devices, limits: EngineLimits) -> list[Outcome]:
    """The outcome of every candidate; where there is no configuration, as the first completes it.

    All are started, each in its best layout, and then measured in turns. Meanwhile the model is in memory once for
    every instance of every candidate.
    """
    golden = read_golden(Path(source.golden)) if source.golden else None
    candidates: list[_Candidate] = []
    config = source.config
    try:
        for backend, precision in CANDIDATES:
            if config:
                source = replace(source, config=with_runtime(config, backend=backend, precision=precision))
            candidate = _Candidate(source, devices, limits, golden, Outcome(backend=backend, precision=precision))
            candidates.append(candidate)
            await candidate.start()
            config = config or candidate.outcome.config
        started = [candidate for candidate in candidates if not candidate.outcome.problem]
        async with devices.quiet:
            times = await measure(started)
        for candidate, buckets in zip(started, times, strict=True):
            candidate.conclude(buckets, started[0].answers)
    finally:
        for candidate in candidates:
            await candidate.stop()
    return [candidate.outcome for candidate in candidates]


def best(outcomes: list[Outcome], *, objective: str, most_error: float) -> Outcome | None:
    """The outcome with the largest throughput or the least latency, of those that answer as the reference does.

    None where no such runtime could be measured: nothing is said of one whose batches weren't timed.
    """
    sound = [one for one in outcomes if one.is_measured and one.error <= most_error]
    if objective == "latency":
        return min(sound, key=lambda one: one.latency, default=None)
    return max(sound, key=lambda one: one.throughput, default=None)


class _Candidate:
    """Owns the instances of one candidate while it is tried, and its outcome.

    Implements `Contender`, and `InstanceListener` for nobody. It fails by writing a problem into its outcome.
    """

    def __init__(
        self, source: ModelSource, devices: Devices, limits: EngineLimits, golden: Golden | None, outcome: Outcome
    ) -> None:
        self.outcome = outcome
        self.answers: list[NDArray[Any]] = []
        self._blueprint = Blueprint(source, limits)
        self._devices = devices
        self._limits = limits
        self._golden = golden
        self._instances: list[Instance[Batch]] = []
        self._benches: list[Bench] = []
        self._tryout: Tryout | None = None

    @property
    def buckets(self) -> Sequence[BucketTime]:
        """See `Contender`."""
        return self.outcome.findings.buckets if self.outcome.findings else ()

    async def start(self) -> None:
        """Bring its instances up in the best layout, and ask for the answers to a few rows."""
        if importlib.util.find_spec(self.outcome.backend) is None:
            self.outcome = replace(self.outcome, problem="isn't installed")
            return
        try:
            launched = await self._launch()
            self._instances = launched.instances
            plan = self._instances[0].plan
            device = self._devices.get(plan.device)
            tokens = self._devices.tokens(plan.device, plan.intra_op_threads)
            self._benches = [Bench(instance, device, tokens) for instance in self._instances]
            tryout = self._tryout = Tryout(plan=plan, golden=self._golden, lengths=self._blueprint.config.hone.lengths)
            rows = min(plan.max_batch_size or 1, ROWS)
            self.answers = (await self._benches[0].run(tryout.calm(rows))).outputs
        except TrialFailed as error:
            self._fail(f"it refuses the inputs it is tried with, golden.npz can hold better ones: {error}")
            return
        except ArtifactError as error:
            self._fail(str(error))
            return
        self.outcome = replace(self.outcome, config=self._blueprint.config, findings=launched.findings)

    async def sample(self, rows: int) -> list[float]:
        """See `Contender`."""
        if self._tryout is None or self.outcome.problem:
            return []
        batch = self._tryout.longest(rows)
        try:
            tried = await asyncio.gather(*[bench.run(batch) for bench in self._benches])
        except (ArtifactError, TrialFailed) as error:
            self._fail(str(error))
            return []
        return [(one.timings.input + one.timings.infer + one.timings.output) / 1e9 for one in tried]

    def conclude(self, buckets: Sequence[BucketTime], reference: Sequence[NDArray[Any]]) -> None:
        """Write down what was measured in turns, and how far its answers are from the reference's."""
        if self.outcome.findings:
            findings = msgspec.structs.replace(self.outcome.findings, buckets=tuple(buckets))
            self.outcome = replace(self.outcome, findings=findings, error=largest(reference, self.answers))

    async def stop(self) -> None:
        """End its instances."""
        for bench in self._benches:
            bench.close()
        for instance in self._instances:
            await instance.stop()

    async def _launch(self) -> Launched:
        placements = self._devices.place(self._blueprint.source.config)
        return await Launch(
            placements=placements[0],  # where a model has several devices, the first is measured
            config=self._blueprint.source.config,
            completed=lambda: self._blueprint.config,
            golden=self._golden,
            devices=self._devices,
            cache=self._limits.findings,
            make=self._instance,
        ).run()

    def _fail(self, problem: str) -> None:
        self.outcome = replace(self.outcome, findings=None, problem=f"can't be tried: {problem}")

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
