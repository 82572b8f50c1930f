"""Proof of execution: which layers ran in integers, how many of the multiply-accumulates, and why the others didn't."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx

from training.compression.evidence.node import Node, Precision
from training.compression.evidence.origins import Origins, key, multiplies, tensors
from training.compression.evidence.profile import Profile, profile
from training.session import Tensors

WITH_INTEGER_KERNELS = frozenset({"Attention", "Conv", "Gemm", "LSTM", "MatMul"})
"""Layers that ONNX Runtime's CPU provider can compute in integers, some statically and some dynamically."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """What computed a layer: its name in the file, the operator that ran, and in what.

    `share` is that of the counted multiply-accumulates. `asked`: the file, or who made it, wanted integers; `reason`
    says why it isn't in integers, and is None where it is.
    """

    name: str
    operator: str
    precision: Precision
    macs: int | None
    share: float
    asked: bool
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What ran of a file at one batch: `kernels` in their order, and `shares` of what is counted."""

    kernels: tuple[Kernel, ...]
    macs: int
    shares: Mapping[Precision, float]

    @property
    def integer_share(self) -> float:
        """The share of the multiply-accumulates that ran in integers."""
        return self.shares.get("integer", 0.0)

    @property
    def missed(self) -> Mapping[str, str]:
        """Layers that were asked for in integers and ran in something else, with the reason."""
        return {one.name: one.reason for one in self.kernels if one.asked and one.reason is not None}

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Layers that hold others, or whose arithmetic isn't known, by operator and name: no share is of them."""
        return tuple(f"{one.operator} {one.name}" for one in self.kernels if one.macs is None)


def execution(model: Path, inputs: Tensors, *, asked: Collection[str] = (), threads: int = 1) -> Execution:
    """What runs of the file `model` on `inputs` [N, ...].

    What is quantized in the file was asked for; `asked` are further layers that a quantization was told to take.
    """
    return executed(profile(model, inputs, threads=threads), onnx.load(model, load_external_data=False), asked)


def executed(ran: Profile, model: onnx.ModelProto, asked: Collection[str] = ()) -> Execution:
    """As `execution`, of a profile of `model` that is there already."""
    origins, file = Origins(model), Asked(model)
    makers, takers = tensors(ran.nodes)
    layers = [(origins.find(node) or node.name, node) for node in ran.nodes if node.multiplies]
    macs = sum(node.macs or 0 for _, node in layers)
    kernels, shares = [], defaultdict[Precision, float](float)
    for name, node in layers:
        share = (node.macs or 0) / macs if macs else 0.0
        shares[node.precision] += share
        wanted = node.precision == "integer" or name in asked or file.asks(name)
        reason = None if node.precision == "integer" else file.reason(name, _beside(node, makers, takers))
        kernels.append(
            Kernel(
                name=name,
                operator=node.operator,
                precision=node.precision,
                macs=node.macs,
                share=share,
                asked=wanted,
                reason=reason,
            )
        )
    return Execution(kernels=tuple(kernels), macs=macs, shares=dict(shares))


def _beside(node: Node, makers: Mapping[str, Node], takers: Mapping[str, list[Node]]) -> list[Node]:
    """Conversions of what a node is given as data, and of what it answers."""
    before = [makers[name] for name in node.inputs[:1] if name in makers]
    behind = [taker for name in node.outputs for taker in takers.get(name, [])]
    return [one for one in (*before, *behind) if one.operator in ("QuantizeLinear", "DequantizeLinear")]


class Asked:
    """What a file asks for, layer by layer; `layers` are the nodes that multiply, by their names."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.layers = {key(node): node for node in model.graph.node if multiplies(node)}
        self._makers = {name: node.op_type for node in model.graph.node for name in node.output}
        self._constants = {one.name for one in model.graph.initializer}
        self._takers: dict[str, list[str]] = defaultdict(list)
        for node in model.graph.node:
            for name in node.input:
                self._takers[name].append(node.op_type)

    def asks(self, name: str) -> bool:
        """True where data and weights of the layer `name` are integers made floats again: a runtime may fuse that."""
        node = self.layers.get(name)
        return node is not None and all(self._makers.get(one) == "DequantizeLinear" for one in node.input[:2])

    def reason(self, name: str, beside: list[Node]) -> str:
        """Why a layer ran in floats, between those conversions `beside` it that ran too."""
        node = self.layers.get(name)
        if node is None:
            return "the runtime made it of others"
        operator = node.op_type
        if operator not in WITH_INTEGER_KERNELS:
            return f"ONNX Runtime's CPU has no integer kernel for {operator}"
        if not self.asks(name):
            if operator == "MatMul" and not self._constants.intersection(node.input):
                return "the quantization left it in float: neither side is a constant"
            return "the quantization left it in float"
        if any("int8" in one.dtypes for one in beside):
            return "its activations are int8, which ONNX Runtime's CPU doesn't fuse: they have to be uint8"
        if "QuantizeLinear" not in self._takers[node.output[0]] and operator == "Conv":
            return "what it answers isn't quantized, and the kernel would answer integers"
        return "the runtime left the conversions around it as they were"
