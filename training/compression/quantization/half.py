"""Half precision: weights and activations become float16, for GPUs. A CPU computes them as float32, and slower.

ONNX Runtime 1.31 crashed on a CPU while it loaded some such files of recurrent networks that answer every step, so they
are to be tried in a process of its own, as the service's worker is.
"""

from collections.abc import Collection
from pathlib import Path

from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from training.compression.quantization.operators import KEPT, MULTIPLYING, check_names
from training.compression.quantization.preparation import load_prepared
from training.compression.quantization.quantized import Quantized, write_quantized


def half(model: Path, target: Path, *, keep_float: Collection[str] = ()) -> Quantized:
    """Write the float16 version of a prepared `model` to `target`; inputs and outputs keep their datatypes.

    Nodes named in `keep_float` stay as they are. Raises ArtifactError if none is left, or a name isn't there.
    """
    proto = load_prepared(model)
    check_names(proto, keep_float)
    taken = {
        node.name
        for node in proto.graph.node
        if node.op_type in MULTIPLYING - set(DEFAULT_OP_BLOCK_LIST) and node.name not in keep_float
    }
    converted = convert_float_to_float16(proto, keep_io_types=True, node_block_list=list(keep_float))
    return write_quantized(
        model, target, converted, method="half", taken=taken, reasons=dict.fromkeys(keep_float, KEPT)
    )
