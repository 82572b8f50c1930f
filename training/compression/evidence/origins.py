"""Which layer of a model, as its file has it, a node of its optimized graph comes from.

The runtime renames what it fuses and rewrites, but keeps the names of nodes or those of their tensors within the new
ones. A layer is a node that multiplies and accumulates, together with the bias, the residual sum and the activation
behind it: those are what gets fused with it, in one graph or the other.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

import onnx

from training.compression.evidence.arithmetic import COUNTED, UNCOUNTED
from training.compression.evidence.node import Node

ADDED = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ReorderInput", "ReorderOutput"})
"""Operators that only bring tensors into another form for the kernels beside them."""

FUSED = frozenset({"Add", "BatchNormalization", "Clip", "Gelu", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"})
"""Operators that are computed within a layer's kernel where the runtime can: one input comes from the layer."""

_PREFIXES = re.compile(r"^fused ")
_SUFFIXES = re.compile(
    r"(_token_\d+|_nchwc|_quant|_MatMul|_Add|/MatMulAddFusion|/duplicated|_QuantizeLinear|_DequantizeLinear)$"
)


def key(node: onnx.NodeProto) -> str:
    """What a node of a file is called here: its name, or that of the first output that it names where it has none."""
    return node.name or next(filter(None, node.output), "")


def multiplies(node: onnx.NodeProto) -> bool:
    """True for a node that is a layer of its own."""
    return node.op_type in COUNTED or node.op_type in UNCOUNTED


class Origins:
    """The nodes of a file, and which layers they belong to.

    `operators` has the operator of each node by its name, and `weights` the shape of what it multiplies by, if that is
    a constant of the file.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        nodes = [node for node in model.graph.node if node.op_type != "Constant"]
        self.operators = {key(node): node.op_type for node in nodes}
        self._producers = {name: node for node in nodes for name in node.output}
        self._uses = Counter(name for node in nodes for name in node.input)
        self._uses.update(one.name for one in model.graph.output)
        shapes = {one.name: tuple(one.dims) for one in model.graph.initializer}
        self.weights = {key(node): shapes[node.input[1]] for node in nodes if shapes.keys() & set(node.input[1:2])}
        self.layers: dict[str, str] = {}
        for node in nodes:
            self.layers[key(node)] = self._layer(node)

    def find(self, node: Node) -> str | None:
        """The layer that a node which ran is of; None for one that the runtime or the quantization has added."""
        if node.operator in ADDED:
            return None
        return next((found for name in (node.name, *node.outputs) if (found := self.named(name)) is not None), None)

    def named(self, name: str) -> str | None:
        """The layer of a node or tensor that has this name here, or had it before the runtime changed it."""
        for one in _stripped(name):
            if one in self.layers:
                return self.layers[one]
            if (made := self._producers.get(one)) is not None:
                return self.layers[key(made)]
        return None

    def _layer(self, node: onnx.NodeProto) -> str:
        """That of what comes in, if this may be fused with it and nothing else needs it; else its own."""
        if node.op_type in FUSED:
            for name in node.input:
                before = self._producers.get(name)
                if before is not None and self._uses[name] == 1 and self._is_layer(before):
                    return self.layers[key(before)]
        return key(node)

    def _is_layer(self, node: onnx.NodeProto) -> bool:
        return multiplies(node) or (node.op_type in FUSED and self.layers.get(key(node)) != key(node))


def _stripped(name: str) -> Iterator[str]:
    """The name, and what is left of it without one after the other of the runtime's additions."""
    yield name
    name = _PREFIXES.sub("", name)
    yield name
    while (shorter := _SUFFIXES.sub("", name)) != name:
        name = shorter
        yield name


def tensors(nodes: tuple[Node, ...]) -> tuple[Mapping[str, Node], Mapping[str, list[Node]]]:
    """Of nodes that ran: who makes each tensor, and who takes it."""
    makers = {name: node for node in nodes for name in node.outputs}
    takers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in dict.fromkeys(node.inputs):
            takers.setdefault(name, []).append(node)
    return makers, takers
