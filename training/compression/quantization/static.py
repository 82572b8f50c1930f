"""Static quantization: weights and activations become 8-bit integers, with ranges learnt from samples.

Activations are asymmetric uint8, weights symmetric int8 with a scale per output channel (U8S8). That is the one
format for which the CPU has a fast integer kernel; by the runtime's own default (S8S8) a ResNet-18 gains little, as
`make bench-compression` shows. Products of matrices answer floats, and those of two activations stay floats, since sums
and normalisations of floats are what surrounds them: an encoder gained more by that than where all of it was quantized
(measured once). An MLP gains too, its products are still joined.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType, TensorData, TensorsData

from training.compression.quantization.calibration import Ranges
from training.compression.quantization.operators import (
    KEPT,
    NO_KERNEL,
    PRODUCTS,
    check_names,
    unsuited,
    weights_of,
    worth_quantizing,
)
from training.compression.quantization.preparation import load_prepared
from training.compression.quantization.quantized import Quantized, write_quantized
from training.compression.quantization.quiet import quiet
from training.compression.quantization.tables import quantize_tables, tables
from training.compression.quantization.weight_range import reduced_range

OPTIONS = {
    "ActivationSymmetric": False,
    "WeightSymmetric": True,
    "OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"],
}


def static(
    model: Path,
    target: Path,
    ranges: Ranges,
    *,
    keep_float: Collection[str] = (),
    reduce_range: bool | None = None,
    per_channel: bool = True,
) -> Quantized:
    """Write the INT8 version of a prepared `model` to `target`, with `ranges` as `calibrate` learns them.

    Nodes named in `keep_float` stay as they are. With `reduce_range` weights have 7 bits: a CPU without VNNI adds two
    products of bytes in 16 bits, which would overflow; where nothing is said, this CPU decides. Without
    `per_channel` the weights of a product share one scale: answers are coarser, but small products are faster, as
    `make bench-compression` shows of an MLP. Raises ArtifactError if nothing was quantized, or a name isn't there.
    """
    proto = load_prepared(model)
    check_names(proto, keep_float)
    chosen = quantizable(proto, ranges, keep_float)
    reduce = reduced_range(reduce_range)
    quantized = quantized_graph(proto, ranges, chosen, reduce_range=reduce, per_channel=per_channel)
    return write_quantized(
        model,
        target,
        quantized,
        method="static",
        taken=_integers(quantized) & set(chosen) | quantize_tables(quantized, tables(proto, keep_float)),
        reasons={**NO_KERNEL, "LSTM": "it has an integer kernel with dynamic quantization only"}
        | _excluded(proto, keep_float, ranges),
    )


def quantizable(model: onnx.ModelProto, ranges: Ranges, keep_float: Collection[str] = ()) -> list[str]:
    """The nodes of a prepared `model` that `static` quantizes, in the graph's order."""
    excluded = _excluded(model, keep_float, ranges)
    return [name for name in worth_quantizing(model) if name not in excluded]


def quantized_graph(
    model: onnx.ModelProto,
    ranges: Ranges,
    nodes: Collection[str],
    *,
    reduce_range: bool,
    per_channel: bool = True,
) -> onnx.ModelProto:
    """A copy of a prepared `model`, of which these `nodes` are quantized. See `static`."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    data = {name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()}
    with quiet():
        quantizer = QDQQuantizer(
            copied,
            per_channel=per_channel,
            reduce_range=reduce_range,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, data),
            nodes_to_quantize=list(nodes),
            nodes_to_exclude=[],
            op_types_to_quantize=sorted({node.op_type for node in model.graph.node if node.name in nodes}),
            extra_options=dict(OPTIONS),
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    made: onnx.ModelProto = quantizer.model.model
    _give_floats(made, nodes)
    return made


def _give_floats(quantized: onnx.ModelProto, nodes: Collection[str]) -> None:
    """Give floats that no integer node made to those who want floats, instead of what is left of them after rounding.

    The runtime's tool hands all who read an activation the rounded one, so that residual sums of an encoder lost
    accuracy with every layer, and time.
    """
    integers = {name for node in quantized.graph.node if node.name in nodes for name in node.output}
    sources = {node.output[0]: node.input[0] for node in quantized.graph.node if node.op_type == "QuantizeLinear"}
    floats = {
        node.output[0]: sources[node.input[0]]
        for node in quantized.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in sources and sources[node.input[0]] not in integers
    }
    for node in quantized.graph.node:
        if node.name not in nodes and node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
            for index, name in enumerate(node.input):
                node.input[index] = floats.get(name, name)


def _excluded(model: onnx.ModelProto, keep_float: Collection[str], ranges: Ranges) -> dict[str, str]:
    """Nodes that could be quantized but aren't to be, with the reason."""
    wrong, floats = unsuited(model), _floats(model)
    excluded = dict.fromkeys(keep_float, KEPT)
    worth = worth_quantizing(model)
    for node in model.graph.node:
        if node.name not in worth or node.name in excluded:
            continue
        unknown = [name for name in (*node.input, *node.output) if name in floats and name not in ranges]
        if node.name in wrong:
            excluded[node.name] = wrong[node.name]
        elif unknown:
            excluded[node.name] = f"{', '.join(unknown)} isn't finite on the samples"
    return excluded


def _floats(model: onnx.ModelProto) -> set[str]:
    """The activations that are floats."""
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    floats = {one.name for one in values if one.type.tensor_type.elem_type == TensorProto.FLOAT}
    return floats - weights_of(model).keys()


def _integers(quantized: onnx.ModelProto) -> set[str]:
    """The nodes that take integers only: of a product both factors are, of anything else what goes in first."""
    integers = {node.output[0] for node in quantized.graph.node if node.op_type == "DequantizeLinear"}
    return {
        node.name
        for node in quantized.graph.node
        if set(node.input[: 2 if node.op_type in PRODUCTS else 1]) <= integers
    }
