"""Quantization: the number format on which all speed depends, and that answers survive it."""

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from training.compression.quantization.post_training import quantize
from training.compression.quantization.settings import CalibrationSettings
from training.data.split import Dataset
from training.export import INPUT
from training.session import open_session


def arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def accuracy(path: Path, dataset: Dataset) -> float:
    return float((open_session(path)(dataset.test.inputs).argmax(axis=1) == dataset.test.targets).mean())


def test_activations_are_asymmetric_bytes(int8: Path) -> None:
    """Every activation becomes uint8, and those before a ReLU use a zero point of their own."""
    values = arrays(int8)
    points = [values[node.input[2]] for node in onnx.load(int8).graph.node if node.op_type == "QuantizeLinear"]
    assert points
    assert {point.dtype for point in points} == {np.dtype(np.uint8)}
    assert len({int(point) for point in points}) > 1


def test_weights_are_symmetric_int8_with_a_scale_per_channel(int8: Path) -> None:
    """Every convolution's weights are int8 around zero, scaled channel by channel."""
    graph, values = onnx.load(int8).graph, arrays(int8)
    producers = {node.output[0]: node for node in graph.node}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert convolutions
    for node in convolutions:
        weights = producers[node.input[1]]
        codes, scales, zeros = (values[name] for name in weights.input)
        assert weights.op_type == "DequantizeLinear"
        assert codes.dtype == zeros.dtype == np.int8
        assert len(scales) == codes.shape[0]
        assert not zeros.any()


def test_every_heavy_operator_is_quantized(int8: Path) -> None:
    """No convolution or product of matrices computes with float weights: half-quantized graphs are slower."""
    graph = onnx.load(int8).graph
    quantized = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    for node in graph.node:
        if node.op_type in {"Conv", "Gemm", "MatMul"}:
            assert set(node.input[:2]) <= quantized


def test_nothing_between_two_convolutions_is_a_float(int8: Path, tmp_path: Path) -> None:
    """As the runtime runs it, only pixels are quantized: neither ReLU nor pooling breaks the chain of integers."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "run.onnx")
    onnxruntime.InferenceSession(int8, options, providers=["CPUExecutionProvider"])
    run = [node.op_type for node in onnx.load(tmp_path / "run.onnx").graph.node]
    assert run.count("QLinearConv") == sum(node.op_type == "Conv" for node in onnx.load(int8).graph.node)
    assert run.count("QuantizeLinear") == 1
    assert "Relu" not in run


def test_the_file_shrinks_and_the_answers_stay(teacher: Path, int8: Path, dataset: Dataset) -> None:
    """INT8 costs a few answers at most, and a good part of the bytes is saved."""
    assert int8.stat().st_size < 0.6 * teacher.stat().st_size
    assert accuracy(int8, dataset) > accuracy(teacher, dataset) - 0.03


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_every_calibration_method_works(
    teacher: Path, dataset: Dataset, tmp_path: Path, method: Literal["minmax", "entropy", "percentile"]
) -> None:
    """Each way to find the ranges gives a model that still knows most digits."""
    samples = {INPUT: dataset.train.inputs[:64]}
    quantize(teacher, tmp_path / "model.onnx", samples, CalibrationSettings(method=method))
    assert accuracy(tmp_path / "model.onnx", dataset) > accuracy(teacher, dataset) - 0.1


def test_quantization_is_repeatable_and_says_nothing(
    teacher: Path, int8: Path, dataset: Dataset, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same images give the same bytes, and nothing is printed on the way."""
    quantize(teacher, tmp_path / "model.onnx", {INPUT: dataset.train.inputs[:128]}, CalibrationSettings())
    assert (tmp_path / "model.onnx").read_bytes() == int8.read_bytes()
    assert capfd.readouterr() == ("", "")


def test_weights_leave_room_for_sums_of_two_products(teacher: Path, dataset: Dataset, tmp_path: Path) -> None:
    """A CPU without VNNI adds two products of bytes in 16 bits, so that the largest may not overflow: with
    `reduce_range` a file answers alike on every CPU.
    """
    images = {INPUT: dataset.train.inputs[:128]}
    quantize(teacher, tmp_path / "model.onnx", images, CalibrationSettings(), reduce_range=True)
    weights = arrays(tmp_path / "model.onnx")
    largest = max(abs(codes.astype(int)).max() for codes in weights.values() if codes.ndim == 4)
    assert 32 < largest
    assert 2 * 255 * largest < 2**15
