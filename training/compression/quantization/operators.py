"""Which nodes are worth integers, and why others stay in float."""

from collections.abc import Collection, Mapping

import onnx

from service.errors import ArtifactError
from training.suggestion import suggestion

CONVOLUTIONAL = (
    "Conv",
    "Gemm",
    "MatMul",
    "Add",
    "AveragePool",
    "Clip",
    "Concat",
    "Flatten",
    "GlobalAveragePool",
    "MaxPool",
    "Relu",
    "Reshape",
    "Resize",
)
"""Operators of a graph of convolutions with an integer kernel or none to need. Anything else would only gain
conversions to and from float.

Relu needs none: what it cuts off lies below the range of the uint8 that follows. Left out, each convolution's result
would become a float and an integer again. ConvTranspose has no kernel: between integers a generator was slower than in
float (measured once).
"""
OTHERWISE = ("Gemm", "MatMul", "Relu")
"""Operators of any other graph. Between the products of an encoder are sums and normalisations of floats."""
PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
RECURRENT = frozenset({"GRU", "LSTM", "RNN"})
ATTENTION = frozenset({"Attention", "GroupQueryAttention", "MultiHeadAttention"})
MULTIPLYING = PRODUCTS | RECURRENT | ATTENTION | {"Einsum"}
"""Operators that nearly all multiplications of a network are in."""
NO_KERNEL = dict.fromkeys((MULTIPLYING - PRODUCTS) | {"ConvTranspose"}, "ONNX Runtime has no integer kernel for it")
TWO_ACTIVATIONS = "multiplies two activations"
KEPT = "it was to be kept in float"

Weights = Mapping[str, onnx.TensorProto]


def worth_quantizing(model: onnx.ModelProto) -> Collection[str]:
    """The nodes that are worth to be quantized statically in a graph of this kind, by name.

    Behind the last product nothing is: there integers would only make answers coarser.
    """
    convolves = any(node.op_type in {"Conv", "ConvTranspose"} for node in model.graph.node)
    operators = CONVOLUTIONAL if convolves else OTHERWISE
    worth = []
    needed: set[str] = set()
    for node in reversed(model.graph.node):
        if node.op_type in PRODUCTS or needed & set(node.output):
            needed |= set(node.input)
            if node.op_type in operators:
                worth.append(node.name)
    return worth[::-1]


def weights_of(model: onnx.ModelProto) -> Weights:
    """The constants of the graph, by name."""
    return {one.name: one for one in model.graph.initializer}


def multiplies_activations(node: onnx.NodeProto, weights: Weights) -> bool:
    """Whether a node is a product of which neither factor is constant."""
    return node.op_type in PRODUCTS and not weights.keys() & set(node.input[:2])


def unsuited(model: onnx.ModelProto) -> dict[str, str]:
    """The nodes that multiply by what no method makes integers of, with the reason."""
    weights = weights_of(model)
    reasons = {node.name: _unsuited(node, weights) for node in model.graph.node if node.op_type in MULTIPLYING}
    return {name: reason for name, reason in reasons.items() if reason}


def _unsuited(node: onnx.NodeProto, weights: Weights) -> str:
    if multiplies_activations(node, weights):
        return TWO_ACTIVATIONS
    if len(node.input) < 2 or (factor := weights.get(node.input[1])) is None:
        return ""
    if factor.data_type != onnx.TensorProto.FLOAT:
        return f"its weights are {onnx.TensorProto.DataType.Name(factor.data_type).lower()}, and not float32"
    if 0 in factor.dims:
        return "its weights are empty"
    # With a scale for each column the runtime refuses to compute those.
    return "its weights are several matrices" if node.op_type == "MatMul" and len(factor.dims) > 2 else ""


def check_names(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Raise ArtifactError, with the nearest there is, for a name that no node has."""
    known = [node.name for node in model.graph.node]
    for name in names:
        if name not in known:
            raise ArtifactError(f"the prepared model has no node `{name}`{suggestion(name, known)}")
