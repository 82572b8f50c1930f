"""Multiply-accumulates of an operator, by the shapes that it ran on: of ONNX's own and of those that ORT fuses."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]
Shapes = Sequence[Shape]
Attributes = Mapping[str, Any]

_GATES = {"LSTM": 4, "DynamicQuantizeLSTM": 4, "GRU": 3, "RNN": 1}


def multiply_accumulates(
    operator: str, attributes: Attributes, inputs: Shapes, outputs: Shapes, *, domain: str = ""
) -> int | None:
    """How often a node multiplies and adds; 0 for one that does so not at all, or only element by element.

    `inputs` are those that come in as the model runs; the first is the data. Weights may be missing, since a runtime
    packs them beforehand: nothing here looks at them unless a convolution doesn't say how large its kernel is. None
    for an operator that holds others, or whose arithmetic isn't known here.
    """
    if operator in UNCOUNTED:
        return None
    count = COUNTED.get(f"{domain}.{operator}") or COUNTED.get(operator)
    return 0 if count is None else count(attributes, inputs, outputs)


def _convolution(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    """Each number that comes out is a sum over the kernel and the channels of its group."""
    channels = inputs[0][-1] if attributes.get("channels_last") else inputs[0][1]
    groups: int = attributes.get("group", 1)
    return math.prod(outputs[0]) * channels // groups * _kernel(attributes, inputs)


def _transposed_convolution(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    """Each number that comes in is spread over the kernel and the channels of its group."""
    groups: int = attributes.get("group", 1)
    return math.prod(inputs[0]) * outputs[0][1] // groups * _kernel(attributes, inputs)


def _kernel(attributes: Attributes, inputs: Shapes) -> int:
    return math.prod(attributes.get("kernel_shape") or inputs[1][2:])


def _product(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    """Each number that comes out is a sum over the axis that both sides share."""
    data = inputs[0]
    shared = data[-2] if attributes.get("transA") and len(data) > 1 else data[-1]
    return math.prod(outputs[0]) * shared


def _einsum(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int | None:
    """All sizes of an equation once, where something is added up; not known but of two sides without an ellipsis."""
    equation: str = attributes["equation"].decode().replace(" ", "")
    sides = equation.partition("->")[0].split(",")
    if len(sides) != 2 or "." in equation:
        return None
    axes = [axis for side, shape in zip(sides, inputs, strict=True) for axis in zip(side, shape, strict=True)]
    count = math.prod(dict(sorted(axes)).values())  # the larger one of a letter: an axis of 1 is repeated
    return count if count > math.prod(outputs[0]) else 0


def _recurrence(gates: int) -> Callable[[Attributes, Shapes, Shapes], int]:
    def count(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
        """Gates of each direction, at each step, see what comes in and the state."""
        del outputs
        steps, rows, features = inputs[0]
        width: int = attributes["hidden_size"]
        directions = 2 if attributes.get("direction") in (b"bidirectional", "bidirectional") else 1
        return steps * rows * directions * gates * width * (features + width)

    return count


def _attention(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    """Queries by keys, then by values: [..., T, D] each, or [N, T, heads x D]."""
    del attributes, outputs
    query, key = inputs[0], inputs[1]
    return 2 * math.prod(query) * key[-2]


def _projected_attention(attributes: Attributes, inputs: Shapes, outputs: Shapes) -> int:
    """As `_attention`, of queries, keys and values that are made of the data [N, T, W] first."""
    rows, length, width = inputs[0]
    hidden = outputs[0][-1]
    made = sum(attributes.get("qkv_hidden_sizes") or (hidden,) * 3)
    return rows * length * (width * made + 2 * length * hidden)


COUNTED: Mapping[str, Callable[[Attributes, Shapes, Shapes], int | None]] = {
    **dict.fromkeys(("Conv", "FusedConv", "NhwcFusedConv", "QLinearConv", "ConvInteger"), _convolution),
    **dict.fromkeys(("ConvTranspose", "QLinearConvTranspose"), _transposed_convolution),
    **dict.fromkeys(
        (
            "Gemm",
            "FusedGemm",
            "QGemm",
            "MatMul",
            "FusedMatMul",
            "QLinearMatMul",
            "MatMulInteger",
            "MatMulIntegerToFloat",
            "DynamicQuantizeMatMul",
            "MatMulNBits",
        ),
        _product,
    ),
    **{operator: _recurrence(gates) for operator, gates in _GATES.items()},
    "Einsum": _einsum,
    "Attention": _attention,
    "MultiHeadAttention": _attention,
    "com.microsoft.Attention": _projected_attention,
    "QAttention": _projected_attention,
}
"""Operators whose multiply-accumulates are counted. Two are called Attention: ONNX's takes queries, keys and values,
Microsoft's makes them."""

UNCOUNTED = frozenset(
    {
        "AttnLSTM",
        "DecoderMaskedMultiHeadAttention",
        "DeformConv",
        "GroupQueryAttention",
        "If",
        "LinearAttention",
        "LinearClassifier",
        "LinearRegressor",
        "Loop",
        "MatMulBnb4",
        "MoE",
        "QMoE",
        "SVMClassifier",
        "SVMRegressor",
        "Scan",
        "SparseAttention",
        "SparseToDenseMatMul",
    }
)
"""Operators of ONNX Runtime's CPU provider that hold others, or multiply as often as nothing here tells."""
