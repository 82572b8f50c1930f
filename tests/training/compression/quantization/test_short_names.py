"""Names that only a file itself refers to are short, and all others are what they were."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.training.compression.quantization.files import architecture
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.short_names import shorten
from training.compression.quantization.static import static


@pytest.mark.parametrize("name", ["mlp", "unet", "encoder", "detector"])
def test_names_of_quantized_files_are_short(name: str, tmp_path: Path) -> None:
    """Those of weights and conversions; inputs, outputs and the float file's nodes and tensors keep theirs."""
    it = architecture(name)
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    before, after = it.graph, onnx.load(static(it.path, tmp_path / "int8.onnx", ranges).model)
    graph = after.graph
    assert not graph.value_info
    assert max(len(one.name) for one in graph.initializer) <= 3
    known = {tensor for node in before.node for tensor in node.output}
    kept = {node.name: list(node.output) for node in graph.node if "Linear" not in node.op_type}
    names = {node.name for node in before.node}
    assert kept.keys() <= names
    assert all(tensor in known or len(tensor) <= 3 for tensors in kept.values() for tensor in tensors)
    assert [one.name for one in graph.output] == [one.name for one in before.output]
    assert [one.name for one in graph.input] == [one.name for one in before.input]
    onnx.checker.check_model(after)


def test_a_file_with_branches_keeps_its_names() -> None:
    """They refer to tensors around them."""
    branch = helper.make_graph(
        [helper.make_node("Identity", ["around"], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["around"]),
            helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch),
        ],
        "branches",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("condition", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
    )
    model = helper.make_model(graph)
    before = model.SerializeToString()
    shorten(model, set())
    assert model.SerializeToString() == before


def test_a_name_that_is_taken_is_not_given_again() -> None:
    """An input may be called `0`."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["0", "weights of something"], ["y"])],
        "taken",
        [helper.make_tensor_value_info("0", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
        [onnx.numpy_helper.from_array(np.ones(1, np.float32), "weights of something")],
    )
    model = helper.make_model(graph)
    shorten(model, set())
    assert ["0", "1"] == list(model.graph.node[0].input)
    onnx.checker.check_model(model)
