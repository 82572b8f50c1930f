"""W1's network: Linear 64-256-256-10 with ReLU, written with onnx alone."""

from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTHS = (64, 256, 256, 10)


def build(seed: int = 1) -> bytes:
    """The network as an ONNX file, `x` float32 [N, 64] to `y` [N, 10]; equal seeds give equal bytes."""
    random = np.random.default_rng(seed)
    nodes, weights, last = [], [], "x"
    for index, (width, next_width) in enumerate(pairwise(WIDTHS)):
        final = index == len(WIDTHS) - 2
        matrix = (random.standard_normal((width, next_width)) / np.sqrt(width)).astype(np.float32)
        bias = (random.standard_normal(next_width) * 0.1).astype(np.float32)
        weights += [numpy_helper.from_array(matrix, f"w{index}"), numpy_helper.from_array(bias, f"b{index}")]
        out = "y" if final else f"linear{index}"
        nodes.append(helper.make_node("Gemm", [last, f"w{index}", f"b{index}"], [out]))
        if not final:
            nodes.append(helper.make_node("Relu", [out], [f"relu{index}"]))
            last = f"relu{index}"
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", WIDTHS[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", WIDTHS[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()
