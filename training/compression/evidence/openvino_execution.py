"""A file as OpenVINO runs it on a CPU: the kernels of its compiled graph, what they compute in, and what they took.

The runtime tells whole microseconds, and the mean of all of its runs: there are no rounds here, and a node's time is
right to about a microsecond. OpenVINO is an extra.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from training.compression.evidence.execution import Asked, Execution, Kernel
from training.compression.evidence.node import Precision
from training.compression.evidence.products import products_of
from training.openvino_session import compile_model
from training.session import Tensors

Shapes = Sequence[tuple[int, ...]]

_PRECISIONS: Mapping[str, Precision] = {
    "u8": "integer",
    "i8": "integer",
    "f16": "half",
    "bf16": "bfloat16",
    "f32": "float",
    "f64": "double",
}
_TAKEN: Mapping[str, Precision] = {name: one for name, one in _PRECISIONS.items() if one != "integer"}
_NOT_EXECUTED = "not_executed"
_COMPILED = "Subgraph"

WARM_UP = 5
"""Runs that don't count: the first one takes many times as long."""


@dataclass(frozen=True, kw_only=True)
class CompiledNode:
    """A node of the compiled graph that ran: its `layers` in the file, its kernel, and the mean of its seconds."""

    name: str
    layers: tuple[str, ...]
    operator: str
    kernel: str
    precision: Precision
    macs: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """All nodes that ran, and what they prove."""

    nodes: tuple[CompiledNode, ...]
    execution: Execution

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by the first layer of the file that is in a kernel; what the runtime has added is under ""."""
        found: dict[str, float] = defaultdict(float)
        for node in self.nodes:
            found[next(iter(node.layers), "")] += node.seconds
        return dict(found)


def compiled(
    model: Path,
    inputs: Tensors,
    *,
    precision: str = "f32",
    runs: int = 20,
    threads: int = 1,
    asked: Collection[str] = (),
) -> Compiled:
    """What OpenVINO runs of the file `model` on `inputs` [N, ...], where it may compute in `precision` (f32 or bf16).

    As in the service, but that it counts. `asked` as in `execution`.
    """
    loaded = compile_model(model, precision=precision, threads=threads, counting=True)
    request = loaded.create_infer_request()
    for _ in range(WARM_UP):
        request.infer(dict(inputs))
    before = {one.get_friendly_name(): _mean(one) for one in loaded.get_runtime_model().get_ordered_ops() if _ran(one)}
    for _ in range(runs):
        request.infer(dict(inputs))
    file, products = Asked(onnx.load(model, load_external_data=False)), products_of(model, inputs)
    nodes = tuple(
        _node(one, file, products, _since(before.get(one.get_friendly_name(), 0.0), _mean(one), runs))
        for one in loaded.get_runtime_model().get_ordered_ops()
        if _ran(one)
    )
    return Compiled(nodes=nodes, execution=_execution(nodes, file, asked))


def _execution(nodes: Sequence[CompiledNode], file: Asked, asked: Collection[str]) -> Execution:
    layers = [node for node in nodes if node.operator in _COUNTED or node.operator in _UNCOUNTED or node.macs]
    macs = sum(node.macs for node in layers)
    shares: dict[Precision, float] = defaultdict(float)
    kernels = []
    for node in layers:
        share = node.macs / macs if macs else 0.0
        shares[node.precision] += share
        name = next((one for one in node.layers if one in file.layers), node.name)
        integer = node.precision == "integer"
        kernels.append(
            Kernel(
                name=name,
                operator=node.operator if node.operator in _UNCOUNTED else f"{node.operator} ({node.kernel})",
                precision=node.precision,
                macs=None if node.operator in _UNCOUNTED else node.macs,
                share=share,
                asked=integer or name in asked or file.asks(name),
                reason=None if integer else f"OpenVINO chose {node.kernel} for it",
            )
        )
    return Execution(kernels=tuple(kernels), macs=macs, shares=dict(shares))


def _ran(node: Any) -> bool:
    """True where a node took part: those without layers of the file reorder tensors, and cost time too."""
    return _told(node, "layerType") not in ("Const", "Input", "Output") and _told(node, "execTimeMcs") != _NOT_EXECUTED


def _mean(node: Any) -> float:
    """Seconds of a run of a node, of all runs so far."""
    return int(_told(node, "execTimeMcs")) * 1e-6


def _since(before: float, mean: float, runs: int) -> float:
    """The mean of the last `runs` seconds, by that of the first ones and that of all."""
    return max((mean * (WARM_UP + runs) - before * WARM_UP) / runs, 0.0)


def _node(node: Any, file: Asked, products: Mapping[str, int], seconds: float) -> CompiledNode:
    operator = _told(node, "layerType")
    count = _COUNTED.get(operator)
    names = [one for one in _told(node, "originalLayersNames").split(",") if one]
    layers = tuple(dict.fromkeys(_layer(one, file) for one in names))
    macs = count(_shapes(node.inputs()), _shapes(node.outputs())) if count else 0
    return CompiledNode(
        name=node.get_friendly_name(),
        layers=layers,
        operator=operator,
        kernel=_told(node, "primitiveType"),
        precision=_precision(node),
        # What is compiled for one place of a graph may hold all of an attention.
        macs=sum(products.get(one, 0) for one in layers) if operator == _COMPILED else macs,
        seconds=seconds,
    )


def _precision(node: Any) -> Precision:
    """What a kernel computes in: its name ends with that of what comes in, where only weights may be bytes too."""
    told = _PRECISIONS.get(_told(node, "runtimePrecision"), "other")
    return told if told != "integer" else _TAKEN.get(_told(node, "primitiveType").rpartition("_")[2], told)


def _layer(name: str, file: Asked) -> str:
    """The node of the file that a name was made of: what OpenVINO splits it into has the rest behind a slash."""
    shorter = name
    while shorter not in file.layers and "/" in shorter.lstrip("/"):
        shorter = shorter.rpartition("/")[0]
    return shorter if shorter in file.layers else name


def _told(node: Any, what: str) -> str:
    told: str = node.get_rt_info()[what].astype(str)
    return told


def _shapes(ports: Sequence[Any]) -> Shapes:
    return [tuple(one.get_partial_shape().to_shape()) for one in ports if one.get_partial_shape().is_static]


def _convolution(inputs: Shapes, outputs: Shapes) -> int:
    return math.prod(outputs[0]) // outputs[0][1] * math.prod(inputs[1])


def _transposed_convolution(inputs: Shapes, outputs: Shapes) -> int:
    del outputs
    return math.prod(inputs[0]) // inputs[0][1] * math.prod(inputs[1])


def _product(inputs: Shapes, outputs: Shapes) -> int:
    return math.prod(outputs[0]) * inputs[0][-1]


def _recurrence(inputs: Shapes, outputs: Shapes) -> int:
    """Data [N, T, F] first; weights of what comes in, weights of the state and the bias last."""
    del outputs
    rows, steps, _ = inputs[0]
    return rows * steps * (math.prod(inputs[-3]) + math.prod(inputs[-2]))


_COUNTED: Mapping[str, Callable[[Shapes, Shapes], int]] = {
    "Convolution": _convolution,
    "Deconvolution": _transposed_convolution,
    "FullyConnected": _product,
    "MatMul": _product,
    "RNNSeq": _recurrence,
}
"""The compiled graph's kinds of layers that multiply and accumulate."""

_UNCOUNTED = frozenset({"DeformableConvolution", "If", "RNNCell", "ScaledDotProductAttention", "TensorIterator"})
"""Those that multiply too, or hold others."""
