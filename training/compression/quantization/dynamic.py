"""Dynamic quantization: weights are 8-bit integers, and activations become some by the range that each batch has.

No samples are needed, and it is what gives an LSTM integers. But ranges are those of the whole batch, so that rows
change each other's answers: the service finds that out when it loads the model, and computes each request by itself
unless the config's `hone.batch_tolerance` allows for it. Where requests are to share batches a file is better quantized
statically. A convolution with dynamic ranges takes longer than in float, with signed weights many times as long (see
`onnxruntime.quantization dynamic` of ResNet-18 in training/RESULTS.md), so it is left alone.
"""

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from training.compression.quantization.operators import (
    KEPT,
    NO_KERNEL,
    check_names,
    unsuited,
    weights_of,
)
from training.compression.quantization.preparation import load_prepared
from training.compression.quantization.quantized import Quantized, write_quantized
from training.compression.quantization.quiet import quiet
from training.compression.quantization.tables import quantize_tables, tables
from training.compression.quantization.weight_range import reduced_range

OPERATORS = ("MatMul", "Gemm", "LSTM")
REASONS = {**NO_KERNEL, "Conv": "its kernel with dynamic ranges is slower than float"}


def dynamic(
    model: Path,
    target: Path,
    *,
    keep_float: Collection[str] = (),
    reduce_range: bool | None = None,
    per_channel: bool = True,
) -> Quantized:
    """Write a version of a prepared `model` with integer MatMul, Gemm and LSTM nodes to `target`.

    Nodes named in `keep_float` stay as they are. `per_channel` is as for `static`, and so is `reduce_range`, but for
    LSTM nodes, whose weights have 7 bits in any case. Raises ArtifactError if nothing was quantized, or a name isn't
    there.
    """
    proto = load_prepared(model)
    check_names(proto, keep_float)
    excluded = {**unsuited(proto), **dict.fromkeys(keep_float, KEPT)}
    _give_own_weights(proto)
    quantized = _quantized(proto, excluded, reduce_range=reduced_range(reduce_range), per_channel=per_channel)
    integers = weights_of(quantized).keys()
    taken = {
        node.name
        for node in proto.graph.node
        if node.op_type in OPERATORS and node.name not in excluded and f"{node.input[1]}_quantized" in integers
    }
    taken |= quantize_tables(quantized, tables(proto, keep_float))
    return write_quantized(model, target, quantized, method="dynamic", taken=taken, reasons={**REASONS, **excluded})


def _quantized(
    model: onnx.ModelProto, excluded: Mapping[str, str], *, reduce_range: bool, per_channel: bool
) -> onnx.ModelProto:
    with tempfile.TemporaryDirectory() as scratch, quiet():
        path = Path(scratch) / "model.onnx"
        quantize_dynamic(
            model,
            path,
            # A Gemm becomes a MatMul, under another name, and an Add first.
            op_types_to_quantize=["MatMul", "LSTM"],
            per_channel=per_channel,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*excluded, *(f"{name}_MatMul" for name in excluded)],
        )
        return onnx.load(path)


def _give_own_weights(model: onnx.ModelProto) -> None:
    """Copy weights that a Gemm shares with another node: the runtime's tool transposes them in place."""
    weights = weights_of(model)
    uses = [name for node in model.graph.node for name in node.input]
    for node in model.graph.node:
        name = node.input[1] if node.op_type == "Gemm" else ""
        if name in weights and uses.count(name) > 1:
            copied = model.graph.initializer.add()
            copied.CopyFrom(weights[name])
            copied.name = node.input[1] = f"{name}_of_{node.name}"
