"""Graphs as few people have them: what there are no integers for is named and stays in float, the rest is quantized."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.errors import ArtifactError
from tests.training import odd_graphs
from tests.training.imports.graphs import saved
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.preparation import prepare
from training.compression.quantization.quantized import Quantized
from training.compression.quantization.settings import CalibrationSettings, WeightOnlySettings
from training.compression.quantization.static import static
from training.compression.quantization.weight_only import weight_only
from training.session import Tensors, open_model

Method = Callable[[Path, Path, Tensors], Quantized]
METHODS: dict[str, Method] = {
    "static": lambda source, target, samples: static(source, target, calibrate(source, samples, CalibrationSettings())),
    "dynamic": lambda source, target, _: dynamic(source, target),
    "weights": lambda source, target, _: weight_only(source, target, WeightOnlySettings(bits=8)),
}


def quantized(model: onnx.ModelProto, folder: Path, method: str) -> Quantized:
    """What a method makes of a model, which answers nearly as before."""
    source, samples = saved(model, folder, "source.onnx"), odd_graphs.samples_of(model)
    prepare(source, folder / "prepared.onnx")
    made = METHODS[method](folder / "prepared.onnx", folder / "quantized.onnx", samples)
    expected, found = (open_model(one)(samples)["y"].astype(np.float64) for one in (source, made.model))
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    return made


@pytest.mark.parametrize("method", METHODS)
def test_a_stack_of_matrices_stays_in_float(tmp_path: Path, method: str) -> None:
    """With a scale for each column the runtime wouldn't compute it."""
    made = quantized(odd_graphs.stacked(), tmp_path, method)
    assert (1, ["its weights are several matrices"]) == (len(made.nodes["MatMul"]), list(made.left.values()))


@pytest.mark.parametrize("method", METHODS)
def test_weights_without_a_number_stay(tmp_path: Path, method: str) -> None:
    """Beside others, which become integers."""
    made = quantized(odd_graphs.empty(), tmp_path, method)
    assert (1, ["its weights are empty"]) == (len(made.nodes["MatMul"]), list(made.left.values()))


@pytest.mark.parametrize("method", METHODS)
def test_a_product_in_a_branch_is_named(tmp_path: Path, method: str) -> None:
    """It stays as it is; one that isn't in a branch becomes integers, and without one nothing is quantized."""
    made = quantized(odd_graphs.branched(also=True), tmp_path, method)
    assert {"then_product", "else_product"} == set(made.left)
    assert 1 == len(made.nodes["MatMul"])
    with pytest.raises(ArtifactError, match=r"nothing was quantized .*then_product: it is in a branch or a loop"):
        quantized(odd_graphs.branched(), tmp_path, method)


@pytest.mark.parametrize("method", METHODS)
def test_wider_floats_stay(tmp_path: Path, method: str) -> None:
    """No kernel multiplies integers for doubles; calibration has nothing to watch, either."""
    with pytest.raises(ArtifactError, match="its weights are double, and not float32"):
        quantized(odd_graphs.perceptron(np.float64), tmp_path, method)


@pytest.mark.parametrize("method", METHODS)
def test_half_floats_are_quantized_as_what_a_cpu_makes_of_them(tmp_path: Path, method: str) -> None:
    """Their weights are float32 before they are used."""
    assert 2 == len(quantized(odd_graphs.perceptron(np.float16), tmp_path, method).nodes["MatMul"])


@pytest.mark.parametrize("opset", range(13, 22))
def test_every_opset_is_quantized(tmp_path: Path, opset: int) -> None:
    """From the first that has a scale for each channel on."""
    assert 2 == len(quantized(odd_graphs.perceptron(opset=opset), tmp_path, "static").nodes["MatMul"])


@pytest.mark.parametrize("method", ["static", "dynamic"])
def test_what_the_runtimes_tool_does_not_take_is_an_error(tmp_path: Path, method: str) -> None:
    """With its words, instead of its trace."""
    with pytest.raises(ArtifactError, match=r"tool for quantization fails on it|nothing was quantized"):
        quantized(odd_graphs.sparse(), tmp_path, method)
