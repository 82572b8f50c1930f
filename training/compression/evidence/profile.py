"""A file as ONNX Runtime runs it: the graph that is left after its optimizations, and what each node took."""

import json
import math
import tempfile
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import onnxruntime

from service.errors import ArtifactError
from training.compression.evidence.arithmetic import Shape, multiply_accumulates
from training.compression.evidence.node import Node, Precision, Seconds
from training.compression.evidence.origins import Origins
from training.errors import one_line
from training.session import Tensors, session_options

DYNAMIC = frozenset({"DynamicQuantizeMatMul", "DynamicQuantizeLSTM", "QAttention"})
"""Operators that take floats, and multiply integers that they make of them."""

_PRECISIONS: Mapping[str, Precision] = {
    "uint8": "integer",
    "int8": "integer",
    "float16": "half",
    "bfloat16": "bfloat16",
    "float": "float",
    "double": "double",
}
_TIMED = "_kernel_time"
_BLOCKED = "com.microsoft.nchwc"
_WEIGHTS_AT = {
    **dict.fromkeys(("Conv", "FusedConv", "NhwcFusedConv", "ConvInteger", "ConvTranspose"), 1),
    "QLinearConv": 3,
}
"""Which input of a convolution its weights are."""
_INTEGERS = 4
"""The `accuracy_level` at which MatMulNBits makes integers of its data too."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The nodes of a file in the order in which they ran."""

    nodes: tuple[Node, ...]


class Profiled:
    """A file open with the runtime's profiler, on inputs of one shape.

    What the service would run is what runs here: the same options, on the CPU. A context: files of the profiler and of
    the optimized graph are in a scratch folder until it is left. Raises ArtifactError if the file can't be loaded.
    """

    def __init__(self, model: Path, *, threads: int = 1) -> None:
        self._model = model
        self._scratch = tempfile.TemporaryDirectory()
        folder = Path(self._scratch.name)
        self._optimized = folder / "optimized.onnx"
        options = session_options(threads)
        options.optimized_model_filepath = str(self._optimized)
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "profile")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the binding raises a dozen unrelated classes
            self._scratch.cleanup()
            raise ArtifactError(f"{model.name}: can't be loaded ({one_line(error)})") from error
        self._outputs = [one.name for one in self._session.get_outputs()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def run(self, inputs: Tensors) -> None:
        """Run once. Raises ArtifactError if the file can't compute these inputs."""
        try:
            self._session.run(self._outputs, dict(inputs))
        except Exception as error:  # as above
            shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in inputs.items())
            raise ArtifactError(f"{self._model.name}: can't compute {shapes} ({one_line(error)})") from error

    def finish(self, *, warm_up: int = 0) -> Profile:
        """What ran, but for the first `warm_up` runs; no more runs after this."""
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        model = onnx.load(self._optimized)
        ran = _by_node(_outermost(event for event in events if event["cat"] == "Node"))
        graph, origins = _Graph(model), Origins(onnx.load(self._model, load_external_data=False))
        nodes = (
            graph.ran(some[0], np.array([event["dur"] for event in some[warm_up:]]) * 1e-6) for some in ran.values()
        )
        return Profile(nodes=tuple(_unpadded(node, origins) for node in nodes))


def profile(model: Path, inputs: Tensors, *, runs: int = 1, threads: int = 1) -> Profile:
    """What ran of the file `model` in so many `runs` after a first."""
    with Profiled(model, threads=threads) as profiled:
        for _ in range(1 + runs):
            profiled.run(inputs)
        return profiled.finish(warm_up=1)


def _unpadded(node: Node, origins: Origins) -> Node:
    """Without channels of zeros, by which the runtime fills blocks of 16 in its own layout: nobody asked for those."""
    weights = origins.weights.get(origins.find(node) or "")
    if node.domain != _BLOCKED or node.operator != "Conv" or weights is None:
        return node
    return replace(node, macs=math.prod(node.answer) // node.answer[1] * math.prod(weights))


def _outermost(events: Iterator[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Without nodes of the branches and bodies within others, whose time is in that of the node around them."""
    end = -1
    for event in sorted(events, key=lambda event: (event["ts"], -event["dur"])):
        if event["ts"] >= end:
            end = event["ts"] + event["dur"]
            yield event


def _by_node(events: Iterator[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for event in events:
        found[event["args"]["node_index"]].append(event)
    return found


class _Graph:
    """Finds the optimized graph's node that an event is of."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._weights = {one.name: _size(one) for one in model.graph.initializer}
        self._kernels = {one.name: list(one.dims[2:]) for one in model.graph.initializer}
        self._left: dict[tuple[str, str], deque[onnx.NodeProto]] = defaultdict(deque)
        for node in model.graph.node:
            self._left[node.name, node.op_type].append(node)

    def ran(self, event: Mapping[str, Any], seconds: Seconds) -> Node:
        """The node of an event, whose name has the operator and a number in it where the node has none."""
        name, told = event["name"].removesuffix(_TIMED), event["args"]
        operator = told["op_name"]
        node = (self._left.get((name, operator)) or self._left["", operator]).popleft()
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        if operator in _WEIGHTS_AT and (weights := node.input[_WEIGHTS_AT[operator]]) in self._kernels:
            # It may be left out, and of weights that were packed beforehand an event has no shape.
            attributes.setdefault("kernel_shape", self._kernels[weights])
        inputs, outputs = _shapes(told["input_type_shape"]), _shapes(told["output_type_shape"])
        dtypes = tuple(kind for one in told["input_type_shape"] for kind in one)
        return Node(
            name=name,
            operator=operator,
            domain=node.domain,
            precision=_precision(operator, dtypes, attributes),
            macs=multiply_accumulates(operator, attributes, inputs, outputs, domain=node.domain),
            moved=int(told["activation_size"]) + int(told["output_size"]) + self._read(node),
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            dtypes=dtypes,
            answer=outputs[0] if outputs else (),
            seconds=seconds,
        )

    def _read(self, node: onnx.NodeProto) -> int:
        return sum(self._weights.get(name, 0) for name in set(node.input))


def _precision(operator: str, dtypes: Sequence[str], attributes: Mapping[str, Any]) -> Precision:
    if operator in DYNAMIC:
        return "integer"
    if operator == "MatMulNBits":
        return "integer" if attributes.get("accuracy_level") == _INTEGERS else "weights only"
    return _PRECISIONS.get(dtypes[0], "other") if dtypes else "other"


def _shapes(told: Sequence[Mapping[str, Sequence[int]]]) -> list[Shape]:
    return [tuple(dims) for one in told for dims in one.values()]


def _size(weights: onnx.TensorProto) -> int:
    return int(np.prod(weights.dims, dtype=np.int64)) * onnx.helper.tensor_dtype_to_np_dtype(weights.data_type).itemsize
