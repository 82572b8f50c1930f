"""Graphs of a single operator, and what there is to be told of one."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.compression.evidence.node import Node, Precision

FLOAT = TensorProto.FLOAT


def write(path: Path, node: onnx.NodeProto, data: tuple[int, ...], **weights: np.ndarray[Any, Any]) -> Path:
    """A model of one node that takes "x" of the shape `data`, and constants by their names."""
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", FLOAT, data)],
        [helper.make_tensor_value_info(node.output[0], FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)
    return path


def ran(
    operator: str,
    us: float = 10.0,
    *,
    precision: Precision = "float",
    macs: int | None = None,
    moved: int = 0,
    domain: str = "",
    rounds: int = 10,
) -> Node:
    """A node as a profile tells of it, that took so many microseconds in every round."""
    return Node(
        name=operator,
        operator=operator,
        domain=domain,
        precision=precision,
        macs=1000 if macs is None else macs,
        moved=moved,
        inputs=("x",),
        outputs=("y",),
        dtypes=("float",),
        answer=(1, 1),
        seconds=np.full(rounds, us * 1e-6),
    )
