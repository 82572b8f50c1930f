"""From a model's files to instances that serve: start one, try the model on it, choose a layout, start the rest.

On a CPU a model can have one instance of all cores' threads, or an instance of one thread for each core. Which is
better depends on the model, so where the configuration doesn't say, both are measured and the one with the larger
throughput is kept. A model whose rows take less than a millisecond isn't worth that: its threads have nothing to share.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from service.artifact.config import ModelConfig
from service.artifact.golden import Golden
from service.engine.device import Devices, Placement
from service.engine.profile import BucketTime
from service.engine.scheduling.batch import Batch
from service.engine.trials.bench import Bench
from service.engine.trials.findings import Findings, FindingsCache, key_of
from service.engine.trials.tryout import Tryout
from service.workers.instance import Instance
from service.workers.trial import WorkerEnded

ATTEMPTS = 3
WORTH_SPLITTING = 1e-3
"""Seconds that a row takes from which on another layout is looked at."""
WORTH_A_CHANGE = 1.05
"""Gain in throughput from which on an instance per core replaces one for all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """Instances that are ready, and what was found out about the model on them."""

    instances: list[Instance[Batch]]
    findings: Findings


@dataclass(frozen=True, kw_only=True)
class Launch:
    """Brings the instances of one generation up on one device.

    `placements` are those that the configuration asks for there; `make` makes an instance for one. `config` is the one
    in the repository, None without one, and `completed` gives it as completed once an instance is up.
    """

    placements: Sequence[Placement]
    config: ModelConfig | None
    completed: Callable[[], ModelConfig]
    golden: Golden | None
    devices: Devices
    cache: FindingsCache
    make: Callable[[Placement], Instance[Batch]]

    async def run(self) -> Launched:
        """All instances, ready. Raises ArtifactError with what is wrong with the model.

        A worker that ends while the model is tried may have been ended from outside, or by a trial: all is tried again.
        The last time it is started without trials; then what they would have found out isn't known.
        """
        for attempt in range(1, ATTEMPTS + 1):
            started: list[Instance[Batch]] = []
            try:
                return await self._attempt(started, attempt)
            except BaseException as error:
                await _stop(started)
                if attempt == ATTEMPTS or not isinstance(error, WorkerEnded):
                    raise
        raise AssertionError("unreachable")

    async def _attempt(self, started: list[Instance[Batch]], attempt: int) -> Launched:
        placements = self.placements
        (first,) = await self._start(placements[:1], started)
        tryout = Tryout(plan=first.plan, golden=self.golden, lengths=self.completed().hone.lengths)
        bench = self._bench(first)
        try:
            await tryout.verify(bench)
            key = key_of(first.plan, first.runtime, self.completed(), self.devices.cores)
            findings = self.cache.get(key)
            if findings is None:
                findings = await self._find_out(tryout, bench, placements, started, trials=attempt < ATTEMPTS)
                if attempt < ATTEMPTS and findings.influence is not None:  # else more may be found out next time
                    self.cache.put(key, findings)
        finally:
            bench.close()
        return await self._complete(findings, placements[0].device, started)

    async def _find_out(
        self,
        tryout: Tryout,
        bench: Bench,
        placements: Sequence[Placement],
        started: list[Instance[Batch]],
        *,
        trials: bool,
    ) -> Findings:
        """The findings in the best layout; without `trials` what is known without them. Raises WorkerEnded."""
        buckets: tuple[BucketTime, ...] = ()
        shares: tuple[float, ...] = ()
        influence = tryout.untried("the worker ended each time that the model was tried")
        if trials:
            influence = await tryout.influence(bench)
            async with self.devices.quiet:
                buckets = await tryout.time(bench)
                shares = await tryout.shares(bench, buckets)
        findings = Findings(
            instances=len(placements),
            threads=placements[0].threads,
            buckets=buckets,
            influence=influence.change,
            shares=shares,
            problem=influence.problem,
        )
        return await self._split(findings, tryout, started)

    async def _split(self, whole: Findings, tryout: Tryout, started: list[Instance[Batch]]) -> Findings:
        """The findings with one instance per core, if those are better by enough; their instances are in `started`."""
        placements = self.devices.split(self.config)
        if not placements or not whole.buckets or whole.buckets[0].median < WORTH_SPLITTING:
            return whole
        instances = await self._start(placements, started)
        benches = [self._bench(instance) for instance in instances]
        try:
            async with self.devices.quiet:
                measured = await asyncio.gather(*[tryout.time(bench) for bench in benches])
        finally:
            for bench in benches:
                bench.close()
        buckets = _together(measured)
        if len(instances) * _throughput(buckets) < WORTH_A_CHANGE * _throughput(whole.buckets):
            return whole
        return msgspec.structs.replace(whole, instances=len(instances), threads=1, buckets=buckets)

    async def _complete(self, findings: Findings, device: str, started: list[Instance[Batch]]) -> Launched:
        """Keep the instances of the chosen layout, end the others, start what is missing."""
        kept = [one for one in started if one.plan.intra_op_threads == findings.threads][: findings.instances]
        await _stop([one for one in started if one not in kept])
        started[:] = kept
        missing = [Placement(device=device, threads=findings.threads)] * (findings.instances - len(kept))
        await self._start(missing, started)
        return Launched(instances=list(started), findings=findings)

    async def _start(self, placements: Sequence[Placement], started: list[Instance[Batch]]) -> list[Instance[Batch]]:
        instances = [self.make(placement) for placement in placements]
        started.extend(instances)
        await asyncio.gather(*[instance.start() for instance in instances])
        return instances

    def _bench(self, instance: Instance[Batch]) -> Bench:
        device = self.devices.get(instance.plan.device)
        return Bench(instance, device, self.devices.tokens(instance.plan.device, instance.plan.intra_op_threads))


async def _stop(instances: Sequence[Instance[Batch]]) -> None:
    await asyncio.gather(*[instance.stop() for instance in instances])


def _together(measured: Sequence[Sequence[BucketTime]]) -> tuple[BucketTime, ...]:
    """The profile of instances that ran beside each other: their mean medians, and their largest 95th percentiles."""
    return tuple(
        BucketTime(
            rows=same[0].rows,
            median=sum(one.median for one in same) / len(same),
            p95=max(one.p95 for one in same),
        )
        for same in zip(*measured, strict=False)
    )


def _throughput(buckets: Sequence[BucketTime]) -> float:
    """Rows a second at the best batch size; 0 for no measurement."""
    return max((bucket.rows / bucket.median for bucket in buckets), default=0.0)
