"""W1's network: Linear 64-256-256-10 with ReLU, random weights. So small that everything else is what is measured."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

NAME = "mlp"
INPUT, OUTPUT = "x", "y"
WIDTHS = (64, 256, 256, 10)
MAX_BATCH_SIZE = 32
CONFIG = f"""\
backend: "onnxruntime"
max_batch_size: {MAX_BATCH_SIZE}
input {{ name: "{INPUT}" data_type: TYPE_FP32 dims: {WIDTHS[0]} }}
output {{ name: "{OUTPUT}" data_type: TYPE_FP32 dims: {WIDTHS[-1]} }}
dynamic_batching {{ }}
instance_group {{ kind: KIND_CPU count: 1 }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
"""


def build(seed: int = 1) -> bytes:
    """The network as an ONNX file, float32 [N, 64] to [N, 10]; equal seeds give equal bytes."""
    random = np.random.default_rng(seed)
    nodes, weights, last = [], [], INPUT
    for index, (width, next_width) in enumerate(pairwise(WIDTHS)):
        final = index == len(WIDTHS) - 2
        matrix = (random.standard_normal((width, next_width)) / np.sqrt(width)).astype(np.float32)
        bias = (random.standard_normal(next_width) * 0.1).astype(np.float32)
        weights += [numpy_helper.from_array(matrix, f"w{index}"), numpy_helper.from_array(bias, f"b{index}")]
        out = OUTPUT if final else f"linear{index}"
        nodes.append(helper.make_node("Gemm", [last, f"w{index}", f"b{index}"], [out]))
        if not final:
            nodes.append(helper.make_node("Relu", [out], [f"relu{index}"]))
            last = f"relu{index}"
    graph = helper.make_graph(
        nodes,
        NAME,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", WIDTHS[0]])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", WIDTHS[-1]])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_repository(root: Path) -> Path:
    """A repository at `root` that holds only this network; returns the model file."""
    version = root / NAME / "1"
    version.mkdir(parents=True)
    (root / NAME / "config.pbtxt").write_text(CONFIG)
    (version / "model.onnx").write_bytes(build())
    return version / "model.onnx"


def sample(seed: int = 2) -> NDArray[np.float32]:
    """One input [1, 64], rounded so that its JSON numbers have the length that real features have."""
    return np.random.default_rng(seed).standard_normal((1, WIDTHS[0])).round(6).astype(np.float32)
