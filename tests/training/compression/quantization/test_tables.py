"""Tables of embeddings in 8 bits: which are, that they answer as before but for rounding, and what is told of them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.training.compression.quantization.files import Prepared
from training.compression.evidence.execution import execution
from training.compression.evidence.side_by_side import ComparisonSettings, side_by_side
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.preparation import prepare
from training.compression.quantization.quantized import Quantized
from training.compression.quantization.sensitivity import sensitivities
from training.compression.quantization.settings import CalibrationSettings, WeightOnlySettings
from training.compression.quantization.static import static
from training.compression.quantization.tables import quantize_tables, tables
from training.compression.quantization.weight_only import weight_only

TOKENS, WIDTH, PLACES = 1024, 32, 6
RANDOM = np.random.default_rng(5)


def texts(folder: Path, table: NDArray[Any], *, shared: bool = False) -> Prepared:
    """A mean of embeddings times a matrix; the table may be `shared` with a product."""
    weights = {"table": table, "matrix": RANDOM.normal(size=(table.shape[1], 8))}
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["embedded"], name="pick"),
        helper.make_node("MatMul", ["embedded", "matrix"], ["scores"], name="product"),
    ]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", PLACES, 8])]
    if shared:
        weights["turned"] = weights.pop("matrix")
        nodes[1:] = [
            helper.make_node("Gemm", ["flat", "table"], ["scores"], name="product", transB=1),
        ]
        nodes[1:1] = [helper.make_node("ReduceMean", ["embedded"], ["flat"], name="mean", axes=[1], keepdims=0)]
        outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", TOKENS])]
    graph = helper.make_graph(
        nodes,
        "texts",
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", PLACES])],
        outputs,
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "float.onnx").write_bytes(model.SerializeToString())
    prepare(folder / "float.onnx", folder / "prepared.onnx")
    return Prepared(path=folder / "prepared.onnx", samples={"ids": RANDOM.integers(0, len(table), (16, PLACES))})


def usual(rows: int = TOKENS, width: int = WIDTH) -> NDArray[Any]:
    """Rows that are as different in size as those of rare and of common tokens."""
    return RANDOM.normal(size=(rows, width)) * RANDOM.uniform(0.1, 2, size=(rows, 1))


def by(method: str, it: Prepared, target: Path, **options: Any) -> Quantized:
    if method == "dynamic":
        return dynamic(it.path, target, **options)
    if method == "weights":
        return weight_only(it.path, target, WeightOnlySettings(bits=8), **options)
    return static(it.path, target, calibrate(it.path, it.samples, CalibrationSettings()), **options)


@pytest.mark.parametrize("method", ["static", "dynamic", "weights"])
def test_tables_become_integers_with_every_method(method: str, tmp_path: Path) -> None:
    """A quarter of the bytes, told by name, and an answer as near as that of the products alone."""
    it = texts(tmp_path, usual())
    found = by(method, it, tmp_path / "int8.onnx")
    assert ("pick",) == found.nodes["Gather"]
    assert 3 < found.bytes_before / found.bytes_after < 4
    assert it.error(found.model) < 0.03
    kept = by(method, it, tmp_path / "kept.onnx", keep_float=["pick"])
    assert "Gather" not in kept.nodes
    assert kept.bytes_after > 3 * found.bytes_after


def test_each_row_has_its_own_scale(tmp_path: Path) -> None:
    """So that small rows are as exact as large ones, and one of zeros stays zeros."""
    table = usual()
    table[0], table[1] = 0, table[1] * 1e-3
    it = texts(tmp_path, table)
    model = onnx.load(it.path)
    assert {"pick"} == quantize_tables(model, tables(model))
    codes, scales = (numpy_helper.to_array(one) for one in model.graph.initializer if tuple(one.dims[:1]) == (TOKENS,))
    assert ((TOKENS, WIDTH), (TOKENS, 1)) == (codes.shape, scales.shape)
    found = codes * scales
    assert (np.abs(found - table).max(axis=1) <= np.abs(table).max(axis=1) / 253).all()
    onnx.checker.check_model(model)


@pytest.mark.parametrize(
    "table, options",
    [
        (usual(64), {}),
        (usual(4096, 8), {}),
        (usual(), {"shared": True}),
    ],
    ids=["few rows", "short rows", "a product's weights"],
)
def test_what_isnt_worth_it_is_left(table: NDArray[Any], options: dict[str, Any], tmp_path: Path) -> None:
    """Little tables, those whose scales would be a good part, and what a product reads too."""
    assert not tables(onnx.load(texts(tmp_path, table, **options).path))


def test_columns_are_left(tmp_path: Path) -> None:
    """A scale is a row's."""
    model = onnx.load(texts(tmp_path, usual()).path)
    assert tables(model)
    model.graph.node[0].attribute.append(helper.make_attribute("axis", 1))
    assert not tables(model)


def test_what_ran_is_told_as_before(tmp_path: Path) -> None:
    """Nodes that make floats of integers are of the layer that picks; shares are those of the multiplications."""
    it = texts(tmp_path, usual())
    found = by("static", it, tmp_path / "int8.onnx")
    assert {"integer": 1.0} == execution(found.model, it.samples).shares
    compared = side_by_side(it.path, found.model, it.samples, ComparisonSettings(rounds=2, seconds=0.01))
    assert {"pick", "product"} == {layer.name for layer in compared.layers}
    (pick,) = (layer for layer in compared.layers if layer.name == "pick")
    assert ["Cast", "Gather", "Gather", "Mul"] == sorted(node.operator for node in pick.kernels)


def test_a_table_is_among_what_may_be_sensitive(tmp_path: Path) -> None:
    """It may be what answers suffer from most."""
    it = texts(tmp_path, usual())
    ranges = calibrate(it.path, it.samples, CalibrationSettings())
    found = {one.node: one for one in sensitivities(it.path, it.samples, ranges)}
    assert {"pick", "product"} == found.keys()
    assert "Gather" == found["pick"].operator
    assert 30 < found["pick"].decibels < 60
