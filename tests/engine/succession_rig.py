"""A catalog of one model that is served step by step: served models, schedulers and departures are the real ones."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np

from service.artifact.config import ModelConfig, parse_config
from service.artifact.signature import Signature, TensorSpec
from service.engine.catalog import Catalog
from service.engine.device import CPU, Devices, Placement
from service.engine.exchange import Exchange
from service.engine.scheduling.station import Station
from service.engine.served_model import ServedModel
from service.engine.source import EngineLimits, ModelSource
from service.messages import InferRequest, Tensor
from service.metrics import Metrics, ModelMetrics
from service.repository.folder import ModelFolder, VersionFolder
from tests.engine.doubles import NO_TIME, ManualInstance, Recorder
from tests.engine.rig import turn

TENSORS = """
max_batch_size: 4
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 1 ] } ]
"""
SEQUENCES = """
sequence_batching {
  max_sequence_idle_microseconds: %d
  oldest { max_candidate_sequences: %d }
  state [ { input_name: "sum" output_name: "new_sum" data_type: TYPE_FP32 dims: [ 1 ] } ]
}
"""
THOUSAND = 1000


def spec(name: str) -> TensorSpec:
    return TensorSpec(name=name, datatype="FP32", dims=("N", 1))


class LosingInstance(ManualInstance):
    """One that is ended loses what it holds, as a process does."""

    async def stop(self) -> None:
        self.die(blameless=True)


class SumModel(ServedModel):
    """Answers the sum of a sequence plus a thousand times its own number, so that an answer tells who computed it."""

    def __init__(self, source: ModelSource, devices: Devices, metrics: ModelMetrics, number: int, most: int) -> None:
        super().__init__(source, devices, metrics, EngineLimits(max_queued_requests=most))
        self.number = number
        self.stopped = False

    async def load(self) -> None:
        config = self._blueprint.source.config
        assert config
        states = bool(config.sequence_batching)
        inputs, outputs = (["x", "sum"], ["y", "new_sum"]) if states else (["x"], ["y"])
        signature = Signature(inputs=tuple(map(spec, inputs)), outputs=tuple(map(spec, outputs)))
        self._resolve(self._blueprint.inspection(Placement(device=CPU, threads=1)), signature)
        assert self._scheduler
        assert self._batcher
        self.instance = LosingInstance(self._batcher)
        self._scheduler.serve([Station(self._devices.get(CPU), [self.instance], name=CPU, tokens=1)])  # type: ignore[list-item]

    def compute(self) -> None:
        """Answer the batch."""
        job = self.instance.job
        assert job
        columns = [np.concatenate(list(group)) for group in self.instance.groups]
        total = np.sum(columns, axis=0)
        outputs = [total + self.number * THOUSAND, total][: len(columns)]
        self._batcher.job_done(self.instance, job, outputs, NO_TIME)  # type: ignore[union-attr, arg-type]
        self.instance.ended()

    async def stop(self) -> None:
        assert not self.stopped
        self.stopped = True
        await super().stop()


class SuccessionRig:
    """The catalog, and what is asked of it."""

    def __init__(
        self, path: Path, *, idle: int = 10**9, slots: int = 100, most: int = 100, grace: float = 600.0
    ) -> None:
        self.devices = Devices(cores=2, gpus=0)
        self._most = most
        self.metrics = Metrics()
        self.made: list[SumModel] = []
        self.catalog = Catalog(self._make, self.metrics, at_once=2, drain_seconds=30.0, grace=grace)
        self.config = parse_config(TENSORS + SEQUENCES % (idle, slots), name="m")
        self.plain = parse_config(TENSORS, name="m")
        self.edition = 0
        self._path = path / "model.onnx"
        self._path.write_bytes(b"model")

    def _make(self, source: ModelSource, metrics: ModelMetrics) -> SumModel:
        self.made.append(SumModel(source, self.devices, metrics, number=len(self.made) + 1, most=self._most))
        return self.made[-1]

    async def bring(self, *versions: int, config: ModelConfig | None = None, reload: bool = False) -> None:
        """Serve these versions; `reload` makes all of them new ones."""
        self.edition += reload
        mark = (("model.onnx", self.edition, 0, 0, 0),)
        found = tuple(VersionFolder(version=version, model_path=self._path, mark=mark) for version in versions)
        present = frozenset(versions)
        folder = ModelFolder(
            name="m", path=self._path.parent, versions=found, config=config or self.config, present=present
        )
        assert {} == await self.catalog.bring(folder)

    def submit(
        self, name: int | str | None, x: float, *, version: str | None = None, columns: int = 1, **flags: Any
    ) -> tuple[SumModel, Exchange, Recorder]:
        """Ask for a step as the engine does; who took it. The model takes rows of one column."""
        parameters = {} if name is None else {"sequence_id": name}
        parameters |= {f"sequence_{flag}": value for flag, value in flags.items()}
        asked = InferRequest(
            model="m",
            version=version,
            inputs=(Tensor(name="x", datatype="FP32", array=np.full((1, columns), x, np.float32)),),
            parameters=parameters,
        )
        model, receiver = self.catalog.route(asked), Recorder()
        assert isinstance(model, SumModel)
        assert not model.stopped
        return model, model.submit(asked, receiver), receiver

    async def ask(self, name: int | str | None, x: float, **fields: Any) -> tuple[int, float]:
        """The number of the generation that answered, and the sum."""
        model, _, receiver = self.submit(name, x, **fields)
        await turn()
        model.compute()
        await turn()
        assert [None] == receiver.endings
        number, total = divmod(receiver.answers[0].item(), THOUSAND)
        assert number == model.number
        return int(number), total

    @property
    def working(self) -> list[int]:
        """The numbers of the generations that haven't ended."""
        return [model.number for model in self.made if not model.stopped]


async def settled() -> None:
    """Everything that follows without a wait has happened."""
    for _ in range(10):
        await turn()
        await asyncio.sleep(0)
