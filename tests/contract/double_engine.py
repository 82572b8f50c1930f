"""An engine without workers: real exchanges, real arithmetic, answers after a callback of the event loop."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from service.artifact.transforms import Medium
from service.engine.exchange import Exchange, Receiver
from service.errors import (
    ArtifactError,
    BackendError,
    DeadlineExceeded,
    HoneError,
    Infeasible,
    InvalidRequest,
    ModelNotFound,
    NotReady,
    QueueFull,
    Unsupported,
)
from service.messages import InferRequest, InferResponse, Tensor
from service.metadata import IndexEntry, ModelMetadata, ModelStatistics, TensorMetadata
from service.quoting import quoted
from service.repository.override import Override
from service.trace_file import TraceFile
from service.tracing import TraceControl

SLOW = 0.25
MODELS = (
    "affine",
    "echo",
    "empty",
    "failing",
    "faulty",
    "full",
    "late",
    "loading",
    "never",
    "overloaded",
    "slow",
    "twice",
    "wrong",
)


def affine(tensor: Tensor) -> Tensor:
    """Twice the input and one more, in its own datatype; BYTES get a mark, booleans are turned round."""
    if tensor.datatype == "BYTES":
        marked = np.array([element + b"!" for element in tensor.array.reshape(-1)], dtype=np.object_)
        return Tensor(name="y", datatype="BYTES", array=marked.reshape(tensor.array.shape))
    array = ~tensor.array if tensor.datatype == "BOOL" else (tensor.array * 2 + 1).astype(tensor.array.dtype)
    return Tensor(name="y", datatype=tensor.datatype, array=array)


class DoubleEngine:
    """Serves the models in MODELS, each with one behaviour, and notes what the doors told it."""

    server_name = "hone"
    server_version = "0.0.1"
    extensions = ("binary_tensor_data", "parameters")

    def __init__(self) -> None:
        self.is_ready = True
        self.traces = TraceControl(TraceFile(Path("nowhere/trace.json"), 1024))  # never written
        self.requests: list[InferRequest] = []
        self.outcomes: Counter[str] = Counter()
        self.refused: list[tuple[str, str | None, str]] = []
        self.waiting: list[Exchange] = []
        self.is_explicit = True
        self.loaded: list[str] = []
        self.overrides: list[Override | None] = []
        self.unloaded: list[str] = []

    def live(self) -> bool:
        return True

    def ready(self) -> bool:
        return self.is_ready

    def submit(self, request: InferRequest, receiver: Receiver) -> Exchange:
        self._find(request.model, request.version)
        self.requests.append(request)
        if request.model == "full":
            raise QueueFull('model "full" has 1024 requests waiting')
        if request.model == "overloaded":
            raise _infeasible()
        if request.model == "faulty":
            raise ZeroDivisionError
        if request.model == "wrong":
            raise InvalidRequest('input "x" is FP32, model "wrong" takes INT8')
        exchange = Exchange(
            request=request,
            receiver=receiver,
            owner=self,
            inputs=(),
            outputs=(),
            rows=1,
            nbytes=0,
            admitted=time.monotonic(),
            deadline=float("inf"),
        )
        loop = asyncio.get_running_loop()
        behaviour = self._behaviours().get(request.model)
        if behaviour is not None:
            loop.call_later(SLOW if request.model == "slow" else 0, behaviour, exchange)
        self.waiting.append(exchange)
        return exchange

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        for exchange in exchanges:
            self.outcomes[error.reason if error else "ok"] += 1
            self.waiting.remove(exchange)

    def precheck(self, model: str, version: str | None, timeout: float | None) -> None:
        if model == "overloaded":
            raise _infeasible()

    async def prepare(
        self, model: str, version: str | None, medium: Medium, content: bytes, seconds: float
    ) -> tuple[Tensor, ...]:
        raise Unsupported(f"{model} {version} takes no {medium}, be it of {len(content)} bytes within {seconds} s")

    def refuse(self, model: str, version: str | None, protocol: str, error: HoneError) -> None:
        assert protocol in {"http", "grpc", "v1"}
        self.refused.append((model, version, error.reason))

    def turn_away(self, request: InferRequest, error: HoneError) -> None:
        self.refused.append((request.model, request.version, error.reason))

    def model_ready(self, model: str, version: str | None) -> bool:
        if model == "loading":
            return False
        self._find(model, version)
        return self.is_ready

    def metadata(self, model: str, version: str | None) -> ModelMetadata:
        self._find(model, version)
        datatype = "BYTES" if model == "echo" else "FP32"
        return ModelMetadata(
            name=model,
            versions=("1",),
            platform="onnxruntime_onnx",
            inputs=(TensorMetadata(name="x", datatype=datatype, shape=(-1,) if model == "echo" else (-1, 4)),),
            outputs=(TensorMetadata(name="y", datatype=datatype, shape=(-1, 4)),),
        )

    def config(self, model: str, version: str | None) -> dict[str, object]:
        self._find(model, version)
        return {"name": model, "max_batch_size": 8, "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [4]}]}

    def statistics(self, model: str | None, version: str | None) -> list[ModelStatistics]:
        if model is not None:
            self._find(model, version)
        names = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
        durations = {name: (number, 1000 * number) for number, name in enumerate((*names, "cache_hit", "cache_miss"))}
        return [
            ModelStatistics(
                name=name,
                version="1",
                last_inference=1_700_000_000_000,
                inference_count=12,
                execution_count=5,
                durations=durations,
                batches={1: dict.fromkeys(names[3:], (3, 9)), 4: dict.fromkeys(names[3:], (2, 8))},
            )
            for name in ([model] if model else ["affine", "echo"])
        ]

    async def index(self) -> list[IndexEntry]:
        return [
            IndexEntry(name="affine", version="1", state="READY", reason=""),
            IndexEntry(name="broken", version="", state="UNAVAILABLE", reason="model.onnx is missing"),
        ]

    def check_explicit(self) -> None:
        if not self.is_explicit:
            raise InvalidRequest("explicit model load / unload is not allowed")

    async def load_model(self, model: str, override: Override | None = None) -> None:
        if model == "failing":
            raise ArtifactError("failing/1/model.onnx: no such file")
        self._find(model, None)
        self.loaded.append(model)
        self.overrides.append(override)

    async def unload_model(self, model: str, *, dependents: bool = False) -> None:
        if model == "full":
            raise InvalidRequest("explicit model load / unload is not allowed")
        self.unloaded.append(model)

    def _find(self, model: str, version: str | None) -> None:
        if model not in MODELS:
            raise ModelNotFound(f"there is no model {quoted(model)}")
        if version not in {None, "1"}:
            raise ModelNotFound(f'model "{model}" has no version {quoted(version)}')
        if model == "loading":
            raise NotReady('model "loading" is still loading')

    def _behaviours(self) -> dict[str, Callable[[Exchange], object]]:
        return {
            "affine": self._answer,
            "slow": self._answer,
            "echo": self._echo,
            "empty": Exchange.finish,
            "twice": self._twice,
            "failing": lambda exchange: exchange.fail(BackendError("the runtime refused the request")),
            "late": lambda exchange: exchange.fail(DeadlineExceeded("not finished within 5 ms")),
        }

    def _answer(self, exchange: Exchange) -> None:
        tensors = tuple(affine(tensor) for tensor in exchange.request.inputs)
        self._emit(exchange, tensors)
        exchange.finish()

    def _echo(self, exchange: Exchange) -> None:
        self._emit(exchange, exchange.request.inputs)
        exchange.finish()

    def _twice(self, exchange: Exchange) -> None:
        self._emit(exchange, exchange.request.inputs)
        self._answer(exchange)

    def _emit(self, exchange: Exchange, outputs: tuple[Tensor, ...]) -> None:
        request = exchange.request
        exchange.emit(
            InferResponse(model=request.model, version=request.version or "1", outputs=outputs, id=request.id)
        )


def _infeasible() -> Infeasible:
    return Infeasible("would be finished in 900.0 ms, and 250.0 ms are left; 64 rows are to be computed before")
