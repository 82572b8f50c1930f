"""Half precision: weights of 16 bits, and clients that notice nothing."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

from tests.training.compression.quantization.files import architecture
from training.compression.quantization.half import half
from training.graph import tensors_in


@pytest.mark.parametrize("name", ["mlp", "resnet that embeds", "unet", "encoder", "lstm that reads"])
def test_weights_are_halved_and_datatypes_of_clients_stay(name: str, tmp_path: Path) -> None:
    """Inputs and outputs are those of the float file, and the answers are near."""
    it = architecture(name)
    result = half(it.path, tmp_path / "half.onnx")
    assert tensors_in(result.model) == tensors_in(it.path)
    assert TensorProto.FLOAT16 in {one.data_type for one in onnx.load(result.model).graph.initializer}
    assert result.left == {}
    assert it.error(result.model) < 0.01


def test_nodes_are_kept_in_float(tmp_path: Path) -> None:
    """By name."""
    kept = "/network/head/Gemm"
    result = half(architecture("mlp").path, tmp_path / "half.onnx", keep_float=[kept])
    assert result.left == {kept: "it was to be kept in float"}
    graph = onnx.load(result.model).graph
    (head,) = [node for node in graph.node if node.name == kept]
    types = {one.name: one.data_type for one in graph.initializer}
    assert types[head.input[1]] == TensorProto.FLOAT
