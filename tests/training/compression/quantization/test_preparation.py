"""Preparation: a file is ready to be quantized and answers as before, or it is said what stands in the way."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, version_converter
from torch import nn

from service.errors import ArtifactError
from tests.training.compression.quantization.files import architecture, floats, prepared, traced
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.preparation import load_prepared, prepare
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static
from training.session import open_model

IMAGES = floats(4, 3, 8, 8)


def unlike(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    """With statistics of its own, so that it changes something."""
    with torch.no_grad():
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            assert values is not None
            values.uniform_(0.5, 2)
    return norm


def normed() -> nn.Module:
    """A batch norm that folds into a convolution, and one between two ReLUs, which can't."""
    first, second = unlike(nn.BatchNorm2d(8)), unlike(nn.BatchNorm2d(8))
    return nn.Sequential(nn.Conv2d(3, 8, 3), first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(8, 4, 3))


def test_batch_norms_are_folded_or_made_products_and_sums(tmp_path: Path) -> None:
    """None is left, and the answers stay."""
    source = traced(normed(), IMAGES, tmp_path / "float.onnx")
    assert "BatchNormalization" in {node.op_type for node in onnx.load(source).graph.node}
    prepare(source, tmp_path / "prepared.onnx")
    operators = [node.op_type for node in onnx.load(tmp_path / "prepared.onnx").graph.node]
    assert operators == ["Conv", "Relu", "Mul", "Add", "Relu", "Conv"]
    before, after = (open_model(path)({"x": IMAGES})["y"] for path in (source, tmp_path / "prepared.onnx"))
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_batch_norm_that_learns_is_refused(tmp_path: Path) -> None:
    """One that takes its figures from the batch can't be folded; its name is told."""
    source = traced(normed(), IMAGES, tmp_path / "float.onnx")
    model = onnx.load(source)
    (norm, *_) = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    norm.input[3] = "mean"
    model.graph.input.append(helper.make_tensor_value_info("mean", onnx.TensorProto.FLOAT, ["batch"]))
    onnx.save(model, source)
    with pytest.raises(ArtifactError, match=r"BatchNormalization wasn't folded \(.+\); export the model in evaluation"):
        prepare(source, tmp_path / "prepared.onnx")


def test_every_node_has_a_name_of_its_own(tmp_path: Path) -> None:
    """Nodes that have none are called as their first output is in the file: by names they are kept in float."""
    source = traced(normed(), IMAGES, tmp_path / "float.onnx")
    model = onnx.load(source)
    for node in model.graph.node:
        node.ClearField("name")
    onnx.save(model, source)
    prepare(source, tmp_path / "prepared.onnx")
    nodes = load_prepared(tmp_path / "prepared.onnx").graph.node
    names = [node.name for node in nodes]
    assert all(names)
    assert len(set(names)) == len(names)
    outputs = {node.output[0]: node.op_type for node in model.graph.node}
    products = {node.name: node.op_type for node in nodes if node.op_type in {"Conv", "Gemm", "MatMul"}}
    assert products
    assert products.items() <= outputs.items()


def test_weights_beside_the_file_are_taken_in(tmp_path: Path) -> None:
    """The prepared file needs no other."""
    source = traced(normed(), IMAGES, tmp_path / "float.onnx")
    expected = open_model(source)({"x": IMAGES})["y"]
    onnx.save(onnx.load(source), source, save_as_external_data=True, location="weights", size_threshold=0)
    prepare(source, tmp_path / "prepared.onnx")
    (tmp_path / "weights").unlink()
    np.testing.assert_allclose(open_model(tmp_path / "prepared.onnx")({"x": IMAGES})["y"], expected, atol=1e-5)
    with pytest.raises(ArtifactError, match=r"keeps its weights in .*weights, which isn't there"):
        prepare(source, tmp_path / "again.onnx")


def test_an_old_opset_is_converted(tmp_path: Path) -> None:
    """One without scales for each channel would be quantized to a file that doesn't load."""
    source = traced(nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3)), IMAGES, tmp_path / "float.onnx")
    onnx.save(version_converter.convert_version(onnx.load(source), 11), source)
    prepare(source, tmp_path / "prepared.onnx")
    ranges = calibrate(tmp_path / "prepared.onnx", {"x": IMAGES}, CalibrationSettings())
    static(tmp_path / "prepared.onnx", tmp_path / "int8.onnx", ranges)
    assert open_model(tmp_path / "int8.onnx")({"x": IMAGES})["y"].shape == (4, 4, 4, 4)


def test_a_model_without_a_batch_is_refused(tmp_path: Path) -> None:
    """With the tensors that have none, and what to do about it."""
    source = traced(nn.Linear(3, 2), floats(4, 3), tmp_path / "float.onnx")
    model = onnx.load(source)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    onnx.save(model, source)
    with pytest.raises(ArtifactError, match=r"has no batch.* x \[1, 3\], y \[1, 2\]; .*hone-train import --batched"):
        prepare(source, tmp_path / "prepared.onnx")


def test_a_quantized_model_is_refused(tmp_path: Path) -> None:
    """Integers of integers would only lose."""
    it = architecture("mlp")
    static(it.path, tmp_path / "int8.onnx", calibrate(it.path, it.samples, CalibrationSettings()))
    with pytest.raises(ArtifactError, match=r"int8.onnx: is quantized already \(DequantizeLinear\)"):
        prepare(tmp_path / "int8.onnx", tmp_path / "again.onnx")
    with pytest.raises(ArtifactError, match="is quantized already"):
        calibrate(tmp_path / "int8.onnx", it.samples, CalibrationSettings())


def test_a_file_that_is_not_prepared_is_refused(tmp_path: Path) -> None:
    """Every method wants names and shapes that preparation gives."""
    source = traced(nn.Linear(3, 2), floats(4, 3), tmp_path / "float.onnx")
    with pytest.raises(ArtifactError, match="isn't prepared"):
        calibrate(source, {"x": floats(4, 3)}, CalibrationSettings())


def test_no_domain_is_named_that_is_not_used(tmp_path: Path) -> None:
    """Other runtimes may not know it."""
    it = prepared(nn.Linear(3, 2), floats(4, 3), tmp_path)
    assert [one.domain for one in load_prepared(it.path).opset_import] == [""]


def test_shapes_of_weights_are_told_once(tmp_path: Path) -> None:
    """One exporter of torch lists weights among the values too; a tool that transposes them found two shapes."""
    source = traced(nn.Linear(8, 4), floats(4, 8), tmp_path / "float.onnx")
    model = onnx.load(source)
    weights = [one for one in model.graph.initializer if len(one.dims) == 2]
    for one in weights:
        model.graph.value_info.append(helper.make_tensor_value_info(one.name, one.data_type, one.dims))
    onnx.save(model, source)
    prepare(source, tmp_path / "prepared.onnx")
    assert not {one.name for one in weights} & {
        one.name for one in load_prepared(tmp_path / "prepared.onnx").graph.value_info
    }
    dynamic(tmp_path / "prepared.onnx", tmp_path / "int8.onnx")
