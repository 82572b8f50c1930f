"""Bringing instances up: what is found out about a model, when its worker ends meanwhile too. Real worker processes."""

import dataclasses
from pathlib import Path

import msgspec
import pytest

from service.artifact.config import ModelConfig, complete
from service.artifact.signature import Signature, TensorSpec
from service.backends.plan import Plan
from service.engine.device import Devices, Placement
from service.engine.launch import ATTEMPTS, Launch, Launched
from service.engine.scheduling.batch import Batch
from service.engine.trials.findings import FindingsCache
from service.engine.trials.samples import calm
from service.workers.instance import Instance
from tests.workers.test_instance import QUICK, Recorder

X = TensorSpec(name="x", datatype="FP32", dims=("batch", 4))
SIGNATURE = Signature(inputs=(X,), outputs=(dataclasses.replace(X, name="y"),))
FIRST = repr(float(calm([dataclasses.replace(X, dims=(4,))], 1, {})[0][0, 0]))
"""What the first element is that a model is tried with."""


class Launcher:
    """Launches a model whose instances each have options of their own, the last of them for all further ones."""

    def __init__(self, cache: Path, *options: dict[str, str], most: int = 8) -> None:
        self.started = 0
        self.cache = FindingsCache(cache)
        self._options = options
        self._recorder = Recorder()
        self._config: ModelConfig = dataclasses.replace(complete(None, "m", SIGNATURE), max_batch_size=most)

    async def run(self) -> Launched:
        devices = Devices(cores=1, gpus=0)
        launched = await Launch(
            placements=devices.place(None)[0],
            config=None,
            completed=lambda: self._config,
            golden=None,
            devices=devices,
            cache=self.cache,
            make=self._make,
        ).run()
        for instance in launched.instances:
            await instance.stop()
        return launched

    def _make(self, placement: Placement) -> Instance[Batch]:
        options = self._options[min(self.started, len(self._options) - 1)]
        self.started += 1
        plan = Plan(backend="fake", path="", device=placement.device, options=options)
        return Instance(plan, lambda _: (self._resolved(plan), self._recorder), QUICK)  # type: ignore[arg-type, return-value]

    def _resolved(self, plan: Plan) -> Plan:
        config = self._config
        return msgspec.structs.replace(
            plan, max_batch_size=config.max_batch_size, inputs=config.inputs, outputs=config.outputs, slots=1
        )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder that isn't there yet."""
    return tmp_path / "cache"


async def test_a_worker_that_is_ended_once_changes_no_finding(cache: Path) -> None:
    """All trials are made with the next worker, and kept: nothing is said of batch-mates that isn't so."""
    launcher = Launcher(cache, {"exit_on": FIRST}, {})
    launched = await launcher.run()

    assert 2 == launcher.started
    assert 0.0 == launched.findings.influence
    assert launched.findings.buckets
    assert 1 == len(list(cache.iterdir()))


async def test_a_model_whose_trials_end_every_worker_is_started_without(cache: Path) -> None:
    """It can serve, but what mates do to it isn't known, and that is neither claimed nor kept."""
    launcher = Launcher(cache, {"exit_on": FIRST})
    launched = await launcher.run()

    assert ATTEMPTS == launcher.started
    assert launched.findings.influence is None
    assert "the worker ended each time that the model was tried" == launched.findings.problem
    assert not cache.exists()


async def test_where_there_can_be_no_mates_nothing_is_unknown_of_them(cache: Path) -> None:
    """Though the trials end every worker: what they would have measured is unknown, and isn't kept."""
    launched = await Launcher(cache, {"exit_on": FIRST}, most=1).run()

    assert 0.0 == launched.findings.influence
    assert () == launched.findings.buckets
    assert not cache.exists()


async def test_a_model_that_refuses_what_it_is_tried_with_is_not_taken_for_independent(cache: Path) -> None:
    """Nothing is known of it, the reason is the runtime's, and the next start may know better."""
    findings = (await Launcher(cache, {"fail_on": FIRST}).run()).findings

    assert findings.influence is None
    assert "it refuses the inputs it is tried with" in findings.problem
    assert "told to fail" in findings.problem
    assert not cache.exists()


async def test_what_was_kept_is_not_found_out_again(cache: Path) -> None:
    """The second start has the first one's times, to the last digit."""
    first, second = [(await Launcher(cache, {}).run()).findings for _ in range(2)]

    assert first == second
