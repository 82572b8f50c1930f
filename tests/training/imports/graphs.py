"""Little ONNX models, as somebody might bring them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def linear(
    *,
    batch: Sequence[str | int] = ("N", "M"),
    opset: int = 17,
    ir_version: int = 9,
    reshape: bool = False,
) -> onnx.ModelProto:
    """Rows of 4 numbers to the probabilities of 3 classes; `batch` is the first axis of the input and of the output."""
    weights = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    initializers = [numpy_helper.from_array(weights, "weights")]
    if reshape:  # a batch of one, written into the graph
        initializers.append(numpy_helper.from_array(np.array([1, 3], np.int64), "shape"))
        nodes[1] = helper.make_node("Reshape", ["logits", "shape"], ["scores"])
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [batch[0], 4])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch[1], 3])],
        initializers,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version, producer_name="somebody")


def series() -> onnx.ModelProto:
    """A plain LSTM of 5 cells: `x` [T, 1, 3], whose first axis is time, to `y` [T, 1, 1, 5]."""
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(1, 20, 3)), "r": random.normal(size=(1, 20, 5))}
    graph = helper.make_graph(
        [helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=5)],
        "series",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", 1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["T", 1, 1, 5])],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def one_node(
    operator: str, kinds: tuple[int, int], shapes: tuple[Sequence[str | int], Sequence[str | int]], domain: str = ""
) -> onnx.ModelProto:
    """`x` to `y` by one operator without attributes."""
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], domain=domain)],
        "one",
        [helper.make_tensor_value_info("x", kinds[0], shapes[0])],
        [helper.make_tensor_value_info("y", kinds[1], shapes[1])],
    )
    domains = [helper.make_opsetid(name, 17 if not name else 1) for name in {"", domain}]
    return helper.make_model(graph, opset_imports=domains, ir_version=9)


def columns() -> onnx.ModelProto:
    """`x` [N, 4] to its shares `y` of all rows."""
    model = one_node("Softmax", (TensorProto.FLOAT,) * 2, (["N", 4], ["N", 4]))
    model.graph.node[0].attribute.append(helper.make_attribute("axis", 0))
    return model


def dynamic() -> onnx.ModelProto:
    """`x` [N, 4] as bytes and back as `y`, in a range that is learnt from all rows, as dynamic INT8 does."""
    model = one_node("DynamicQuantizeLinear", (TensorProto.FLOAT,) * 2, (["N", 4], ["N", 4]))
    model.graph.node[0].output[:] = ["bytes", "scale", "zero"]
    model.graph.node.append(helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["y"]))
    return model


def saved(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """The file."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path
