"""Dynamic quantization: LSTM, MatMul and Gemm become integers, convolutions never, and batch-mates change answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from service.artifact.signature import TensorSpec
from service.engine.trials.independence import TOLERANCE, influence
from service.errors import ArtifactError
from service.workers.payloads import Timings
from service.workers.trial import Tried
from tests.training.compression.quantization.files import Prepared, architecture, floats, prepared, traced
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.preparation import prepare
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static
from training.graph import tensors_in
from training.session import open_runner

NETWORKS = {
    "mlp": {"Gemm": 3},
    "encoder": {"MatMul": 8, "Gemm": 1},
    "lstm": {"LSTM": 1, "Gemm": 1},
    "lstm both ways": {"LSTM": 2, "Gemm": 1},
    "lstm that tags": {"LSTM": 1, "MatMul": 1},
    "lstm by steps": {"LSTM": 2, "MatMul": 1},
    "gru": {"Gemm": 1},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_products_and_lstms_become_integers(name: str, tmp_path: Path) -> None:
    """The result says which, and the file has as many nodes of integers."""
    it = architecture(name)
    result = dynamic(it.path, tmp_path / "int8.onnx")
    assert {operator: len(nodes) for operator, nodes in result.nodes.items()} == NETWORKS[name]
    operators = [node.op_type for node in onnx.load(result.model).graph.node]
    assert operators.count("DynamicQuantizeLSTM") == NETWORKS[name].get("LSTM", 0)
    products = NETWORKS[name].get("MatMul", 0) + NETWORKS[name].get("Gemm", 0)
    assert operators.count("MatMulInteger") == products
    assert it.error(result.model) < 0.1


def test_convolutions_are_never_quantized(tmp_path: Path) -> None:
    """Even where that leaves one layer; where it leaves none the file is refused."""
    it = architecture("resnet that embeds")
    result = dynamic(it.path, tmp_path / "int8.onnx")
    assert list(result.nodes) == ["Gemm"]
    assert set(result.left.values()) == {"its kernel with dynamic ranges is slower than float"}
    with pytest.raises(ArtifactError, match="nothing was quantized"):
        dynamic(architecture("unet").path, tmp_path / "int8.onnx")


@pytest.mark.parametrize("name, kept", [("mlp", "/network/head/Gemm"), ("lstm", "/cells/LSTM")])
def test_nodes_are_kept_in_float(name: str, kept: str, tmp_path: Path) -> None:
    """A Gemm too, though it is taken apart on the way."""
    result = dynamic(architecture(name).path, tmp_path / "int8.onnx", keep_float=[kept])
    assert result.left == {kept: "it was to be kept in float"}
    assert all(kept not in nodes for nodes in result.nodes.values())


class Tied(nn.Module):
    """Two layers, the second of which has the first one's weights, another way round."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.layer.bias, torch.relu(self.layer(x)), self.layer.weight)


def test_weights_that_layers_share_stay_what_they_are(tmp_path: Path) -> None:
    """The runtime's tool transposes a layer's weights in place, whoever else has them."""
    it = prepared(Tied(), floats(8, 6), tmp_path)
    assert it.error(dynamic(it.path, tmp_path / "int8.onnx").model) < 0.05


def test_shapes_of_weights_do_not_matter(tmp_path: Path) -> None:
    """Some exporters tell them; the runtime's tool transposes weights, and stumbles over what they were."""
    source = traced(nn.Linear(6, 4), floats(8, 6), tmp_path / "float.onnx")
    model = onnx.load(source)
    for one in model.graph.initializer:
        model.graph.value_info.append(onnx.helper.make_tensor_value_info(one.name, one.data_type, one.dims))
    onnx.save(model, source)
    prepare(source, tmp_path / "prepared.onnx")
    assert list(dynamic(tmp_path / "prepared.onnx", tmp_path / "int8.onnx").nodes) == ["Gemm"]


class RuntimeBench:
    """Runs a file where the service would have a worker run it."""

    def __init__(self, model: Path) -> None:
        self._run = open_runner(model)

    async def run(self, inputs: Sequence[NDArray[Any]]) -> Tried:
        return Tried(outputs=list(self._run(inputs)), timings=Timings(input=0, infer=1, output=0))


async def change(it: Prepared, model: Path) -> float:
    """How much batch-mates change an answer, as the service finds out when it loads a model."""
    datatypes = {"float32": "FP32", "int64": "INT64", "uint8": "UINT8"}
    specs = [
        TensorSpec(name=one.name, datatype=datatypes[str(one.dtype)], dims=it.samples[one.name].shape[1:])
        for one in tensors_in(it.path).inputs
    ]
    bench: Any = RuntimeBench(model)
    return await influence(bench, specs, [np.ascontiguousarray(one[:4]) for one in it.samples.values()])


@pytest.mark.parametrize("name", ["mlp", "lstm", "encoder that embeds"])
async def test_batch_mates_change_dynamic_answers_and_no_static_ones(name: str, tmp_path: Path) -> None:
    """What the service's check of batch independence reports of the one and of the other."""
    it = architecture(name)
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    assert await change(it, dynamic(it.path, tmp_path / "dynamic.onnx").model) > TOLERANCE["f32"]
    assert await change(it, static(it.path, tmp_path / "static.onnx", ranges).model) <= TOLERANCE["f32"]
    assert await change(it, it.path) <= TOLERANCE["f32"]
