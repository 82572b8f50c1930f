"""Weight-only quantization: the weights of products have 4 or 8 bits, block by block, and activations stay floats.

For decoders, which read all their weights for every token and so wait for memory. The products themselves are computed
with activations of 8 bits a block, where the CPU has a kernel for that.
"""

from collections.abc import Collection
from pathlib import Path

import onnx
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from training.compression.quantization.operators import KEPT, check_names, unsuited
from training.compression.quantization.preparation import load_prepared
from training.compression.quantization.quantized import Quantized, write_quantized
from training.compression.quantization.quiet import quiet
from training.compression.quantization.settings import WeightOnlySettings
from training.compression.quantization.tables import quantize_tables, tables

INTEGER_PRODUCTS = 4
"""The accuracy level by which activations are rounded to 8 bits, too, for the product."""


def weight_only(
    model: Path, target: Path, settings: WeightOnlySettings, *, keep_float: Collection[str] = ()
) -> Quantized:
    """Write a version of a prepared `model` with MatMul weights of few bits to `target`.

    Nodes named in `keep_float` stay as they are. Raises ArtifactError if nothing was quantized, or a name isn't there.
    """
    proto = load_prepared(model)
    check_names(proto, keep_float)
    excluded = {**unsuited(proto), **dict.fromkeys(keep_float, KEPT)}
    with quiet():
        quantizer = MatMulNBitsQuantizer(
            load_prepared(model),
            bits=settings.bits,
            block_size=settings.block_size,
            is_symmetric=settings.symmetric,
            accuracy_level=INTEGER_PRODUCTS,
            nodes_to_exclude=list(excluded),
        )
        quantizer.process()
    quantized: onnx.ModelProto = quantizer.model.model
    remaining = {node.name for node in quantized.graph.node}
    taken = {node.name for node in proto.graph.node if node.op_type == "MatMul" and node.name not in remaining}
    taken |= quantize_tables(quantized, tables(proto, keep_float))
    others = {node.op_type: "only weights of MatMul nodes are quantized" for node in proto.graph.node}
    return write_quantized(model, target, quantized, method="weight-only", taken=taken, reasons={**others, **excluded})
