"""Static quantization of every kind of network: what becomes integers, what doesn't and why, and that it answers."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from service.errors import ArtifactError
from tests.training.compression.quantization.files import architecture, floats, prepared
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.operators import MULTIPLYING
from training.compression.quantization.quantized import Quantized
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static

NO_KERNEL = "ONNX Runtime has no integer kernel for it"


def quantized(name: str, target: Path, *, keep_float: tuple[str, ...] = (), reduce_range: bool = True) -> Quantized:
    it = architecture(name)
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    return static(it.path, target, ranges, keep_float=keep_float, reduce_range=reduce_range)


def as_run(path: Path, folder: Path) -> Counter[str]:
    """The operators that the runtime makes of a file, by how often."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(folder / "run.onnx")
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(folder / "run.onnx").graph.node)


NETWORKS = {
    "mlp": {"QGemm": 3},
    "mlp with batch normalisation": {"QGemm": 3},
    "resnet that embeds": {"QLinearConv": 6, "QGemm": 1, "QuantizeLinear": 1},
    "depthwise": {"QLinearConv": 9, "QGemm": 1, "QuantizeLinear": 1},
    "unet": {"QLinearConv": 13, "QLinearConcat": 2, "QuantizeLinear": 1},
    "autoencoder": {"QLinearConv": 5, "QGemm": 2},
    "variational": {"QLinearConv": 3, "QGemm": 1},
    "detector": {"QLinearConv": 13, "QLinearAdd": 3},
    "encoder": {"MatMulIntegerToFloat": 8, "QGemm": 1, "MatMul": 5},
    "encoder with rotary places": {"MatMulIntegerToFloat": 9, "MatMul": 4},
    "lstm": {"QGemm": 1, "LSTM": 1},
    "gru both ways": {"MatMulIntegerToFloat": 1, "GRU": 1},
}
"""What must be run of each network."""


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network_runs_in_integers(name: str, tmp_path: Path) -> None:
    """As the runtime runs it, and as the result says: every product is told of, either way."""
    it, result = architecture(name), quantized(name, tmp_path / "int8.onnx")
    run = as_run(result.model, tmp_path)
    assert {operator: run[operator] for operator in NETWORKS[name]} == NETWORKS[name]
    told = {node for nodes in result.nodes.values() for node in nodes} | result.left.keys()
    assert {node.name for node in it.graph.node if node.op_type in MULTIPLYING} <= told
    assert result.bytes_before == it.path.stat().st_size
    assert result.bytes_after == result.model.stat().st_size
    if name != "detector":  # boxes that are nearly as likely change places
        assert it.error(result.model) < 0.2


@pytest.mark.parametrize(
    "name, left",
    [
        ("lstm", {"/cells/LSTM": "it has an integer kernel with dynamic quantization only"}),
        ("gru", {"/cells/GRU": NO_KERNEL, "/cells/GRU_1": NO_KERNEL}),
        ("rnn", {"/cells/RNN": NO_KERNEL}),
        ("mlp", {}),
    ],
)
def test_what_has_no_kernel_is_left_and_named(name: str, left: dict[str, str], tmp_path: Path) -> None:
    """By its name, with the reason."""
    assert left == quantized(name, tmp_path / "int8.onnx").left


def test_attention_stays_in_float(tmp_path: Path) -> None:
    """Its two products are of activations; the weights' products become integers."""
    left = quantized("encoder", tmp_path / "int8.onnx").left
    assert set(left.values()) == {"multiplies two activations"}
    assert len(left) == 5


def test_a_model_of_which_nothing_can_be_quantized_is_refused(tmp_path: Path) -> None:
    """Transposed convolutions have no integer kernel; each is named."""
    with pytest.raises(ArtifactError, match=rf"nothing was quantized \(/1/ConvTranspose: {NO_KERNEL}; /4/Conv"):
        quantized("gan", tmp_path / "int8.onnx")


def test_nothing_behind_the_last_product_is_quantized(tmp_path: Path) -> None:
    """A detector's boxes are computed of floats: coordinates in 256 steps would be answers made coarser."""
    nodes = quantized("detector", tmp_path / "int8.onnx").nodes
    assert {operator: len(names) for operator, names in nodes.items()} == {"Conv": 13, "Add": 3, "Resize": 1}


def test_nodes_are_kept_in_float(tmp_path: Path) -> None:
    """By name; a name that isn't there is refused with the nearest."""
    kept = "/network/head/Gemm"
    result = quantized("mlp", tmp_path / "int8.onnx", keep_float=(kept,))
    assert {kept: "it was to be kept in float"} == result.left
    assert as_run(result.model, tmp_path)["Gemm"] == 1
    with pytest.raises(ArtifactError, match="no node `/network/heat/Gemm`, did you mean `/network/head/Gemm`"):
        quantized("mlp", tmp_path / "int8.onnx", keep_float=("/network/heat/Gemm",))


@pytest.mark.parametrize("reduce_range, bits", [(True, 7), (False, 8)])
def test_weights_have_as_many_bits_as_asked(tmp_path: Path, *, reduce_range: bool, bits: int) -> None:
    """Seven suffice for every CPU; eight are for those with VNNI."""
    result = quantized("mlp", tmp_path / "int8.onnx", reduce_range=reduce_range)
    weights = [numpy_helper.to_array(one) for one in onnx.load(result.model).graph.initializer]
    largest = max(int(np.abs(one.astype(int)).max()) for one in weights if one.dtype == np.int8 and one.ndim == 2)
    assert 2 ** (bits - 2) < largest <= 2 ** (bits - 1)


def test_more_bits_and_ranges_of_the_samples_are_nearer(tmp_path: Path) -> None:
    """What comes out is what went in but for rounding: with eight bits less than with seven."""
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))
    it = prepared(network, floats(16, 3, 12, 12), tmp_path)
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    errors = [
        it.error(static(it.path, tmp_path / "int8.onnx", ranges, reduce_range=reduce).model) for reduce in (True, False)
    ]
    assert errors[1] < errors[0] < 0.05


def test_a_result_is_told_in_a_line(tmp_path: Path) -> None:
    """Method, nodes, what was left, and sizes."""
    line = str(quantized("lstm", tmp_path / "int8.onnx"))
    assert line.startswith("static: 1 Gemm; 1 left in float; 0.01 MB to ")


class Residual(nn.Module):
    """Normalised before it is added to what a product made of it, as in BERT."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.inner, self.head = nn.LayerNorm(16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        answer: torch.Tensor = self.head(torch.tanh(x + self.inner(x)))
        return answer


def test_sums_of_floats_get_floats(tmp_path: Path) -> None:
    """A product takes what is rounded, and the sum beside it what was there before."""
    it = prepared(Residual(), floats(32, 5, 16), tmp_path)
    result = static(it.path, tmp_path / "int8.onnx", calibrate(it.path, it.samples, CalibrationSettings()))
    graph = onnx.load(result.model).graph
    (normed,) = [node.output[0] for node in graph.node if node.op_type == "LayerNormalization"]
    readers = [node.op_type for node in graph.node if normed in node.input]
    assert sorted(readers) == ["Add", "QuantizeLinear"]
    assert as_run(result.model, tmp_path)["DequantizeLinear"] == 0


@pytest.mark.parametrize("per_channel, shape", [(True, (32,)), (False, ())])
def test_weights_have_a_scale_for_each_channel_or_one(
    tmp_path: Path, *, per_channel: bool, shape: tuple[int, ...]
) -> None:
    """One for all of a product's weights is coarser, and faster where products are small."""
    it = prepared(nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)), floats(32, 16), tmp_path)
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    result = static(it.path, tmp_path / "int8.onnx", ranges, per_channel=per_channel)
    graph = onnx.load(result.model).graph
    constants = {one.name: one for one in graph.initializer}
    scales = {
        tuple(constants[node.input[1]].dims)
        for node in graph.node
        if node.op_type == "DequantizeLinear" and tuple(getattr(constants.get(node.input[0]), "dims", ())) == (32, 16)
    }
    assert scales == {shape}
