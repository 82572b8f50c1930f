"""Models for the steps of an ensemble that answer, fail or refuse when the test says so, and an ensemble over them."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.config import ModelConfig, parse_config
from service.engine.ensemble.model import EnsembleModel
from service.engine.exchange import Exchange, Receiver
from service.engine.source import EngineLimits, ModelSource
from service.engine.transformation import Transformation
from service.errors import BackendError, HoneError, ModelNotFound
from service.messages import InferRequest, InferResponse, Tensor
from service.metrics import ModelMetrics
from tests.engine.doubles import Recorder

Compute = Callable[..., dict[str, Any]]


class StepModel:
    """A Servable of one step: holds what is submitted, and writes over an answer as soon as it was taken."""

    def __init__(self, config: ModelConfig, compute: Compute, version: str = "1") -> None:
        self.name, self.version, self.metrics = config.name, version, ModelMetrics()
        self.config = config
        self.compute = compute
        self.sequences = None
        self.transformation: Transformation | None = None
        self.ready, self.problem = True, ""
        self.refusal: HoneError | None = None
        self.pending: list[Exchange] = []
        self.endings: dict[Exchange, list[HoneError | None]] = {}
        self.prechecked: list[float | None] = []

    def precheck(self, timeout: float | None) -> None:
        self.prechecked.append(timeout)
        if self.refusal:
            raise self.refusal

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        if self.refusal:
            raise self.refusal
        now = time.monotonic()
        exchange = Exchange(
            request=request,
            receiver=receiver,
            owner=self,
            inputs=[tensor.array for tensor in request.inputs],
            outputs=(),
            rows=1,
            nbytes=0,
            admitted=now,
            deadline=now + (request.timeout or 0.0),
            started=now,
        )
        self.pending.append(exchange)
        self.endings[exchange] = []
        return exchange

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        for exchange in exchanges:
            self.endings[exchange].append(error)
            self.pending.remove(exchange)

    def answer(self, times: int = 1) -> None:
        """Answer the first that waits, from memory that is then used for something else."""
        exchange = self.pending[0]
        given = {tensor.name: tensor.array for tensor in exchange.request.inputs}
        made = {name: np.array(array) for name, array in self.compute(**given).items()}
        outputs = [
            Tensor(name=spec.name, datatype=spec.datatype, array=made[spec.name])
            for spec in self.config.outputs
            if spec.name in exchange.request.outputs
        ]
        for _ in range(times):
            exchange.emit(InferResponse(model=self.name, version=self.version, outputs=tuple(outputs)))
        for array in made.values():
            array.fill(0 if array.dtype == object else -99)
        exchange.finish()

    def fail(self, error: HoneError | None = None) -> None:
        """Fail the first that waits."""
        self.pending[0].fail(error or BackendError("refused"))

    async def load(self) -> None:
        """Nothing to load."""

    async def linger(self, seconds: float) -> None:
        """Nothing goes on for long."""

    async def drain(self, seconds: float) -> bool:
        return not self.pending

    async def stop(self) -> None:
        """Nothing to stop."""


class Shelf:
    """The catalog's view that ensembles have: models by their names."""

    def __init__(self, *models: Any) -> None:
        self.models: dict[str, Any] = {model.name: model for model in models}

    def find(self, name: str, version: str | None) -> Any:
        model = self.models.get(name)
        if model is None or version not in (None, model.version):
            raise ModelNotFound(f'no model "{name}" is served here')
        return model

    def route(self, request: InferRequest) -> Any:
        return self.find(request.model, request.version)


def model(
    name: str, compute: Compute, *, inputs: str = "x:FP32:3", outputs: str = "y:FP32:3", batch: int = 8, more: str = ""
) -> StepModel:
    """A model of a step; tensors are written `name:DATATYPE:3,-1`, with spaces between them."""
    text = f"max_batch_size: {batch} {tensors('input', inputs)} {tensors('output', outputs)} {more}"
    return StepModel(parse_config(text, name=name), compute)


def tensors(role: str, said: str) -> str:
    lines = []
    for one in said.split():
        name, datatype, dims = one.split(":")
        lines.append(f'{role} {{ name: "{name}" data_type: TYPE_{datatype} dims: [ {dims} ] }}')
    return " ".join(lines)


def step(name: str, takes: str, gives: str, version: int = -1) -> str:
    """A step; `takes` and `gives` are like `x=a y=b`: what the model calls x is the ensemble's tensor a."""
    maps = [
        f'{field} {{ key: "{key}" value: "{tensor}" }}'
        for field, pairs in (("input_map", takes), ("output_map", gives))
        for key, _, tensor in (pair.partition("=") for pair in pairs.split())
    ]
    return f'step {{ model_name: "{name}" model_version: {version} {" ".join(maps)} }}'


def config(
    *steps: str,
    name: str = "e",
    inputs: str = "in:FP32:3",
    outputs: str = "out:FP32:3",
    batch: int = 8,
    limit: int = 0,
    more: str = "",
) -> ModelConfig:
    """An ensemble's configuration."""
    scheduling = f"ensemble_scheduling {{ {' '.join(steps)} max_inflight_requests: {limit} }}"
    ends = f"{tensors('input', inputs)} {tensors('output', outputs)}"
    return parse_config(f'platform: "ensemble" max_batch_size: {batch} {ends} {scheduling} {more}', name=name)


def ensemble(config: ModelConfig, shelf: Shelf, limits: EngineLimits | None = None) -> EnsembleModel:
    """An ensemble that isn't loaded yet, and is on the shelf as if it were."""
    source = ModelSource(name=config.name, version="1", path="", size_bytes=0, sha256="", config=config, card=None)
    made = EnsembleModel(source, ModelMetrics(), limits or EngineLimits(), shelf)
    shelf.models[config.name] = made
    return made


def request(*rows: Sequence[float], **more: Any) -> InferRequest:
    """A request of FP32 rows for input `in`."""
    array: NDArray[np.float32] = np.array(rows, np.float32)
    tensor = Tensor(name="in", datatype="FP32", array=array)
    return InferRequest(**{"model": "e", "version": None, "inputs": (tensor,)} | more)


class Tensors(Recorder):
    """A Receiver that keeps every output by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, list[Any]] = {}

    def emit(self, response: InferResponse) -> None:
        super().emit(response)
        self.outputs = {tensor.name: tensor.array.tolist() for tensor in response.outputs}

    @property
    def error(self) -> HoneError | None:
        """How it ended; fails unless it has ended once."""
        (only,) = self.endings
        return only
