"""What ran, as against what was asked for."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers.float16 import convert_float_to_float16

from service.errors import ArtifactError
from tests.training.compression.evidence.graphs import FLOAT, write
from tests.training.compression.evidence.models import CNN_OPERATORS, Models, batch
from training.compression.evidence.execution import execution
from training.compression.evidence.openvino_execution import compiled

STEM, SUMMED = "/network/stem/stem.0/Conv", "/network/stages/stages.0/second/second.0/Conv"


def test_a_static_network_runs_in_integers(models: Models) -> None:
    """U8S8 with all of a CNN's operators: each layer is an integer kernel, by its name in the file."""
    found = execution(models.static("cnn", CNN_OPERATORS), batch("cnn"))

    assert found.integer_share == pytest.approx(1)
    assert {one.operator for one in found.kernels} == {"QLinearConv", "QGemm"}
    assert {one.name for one in found.kernels} == {
        node.name for node in onnx.load(models.path("cnn")).graph.node if node.op_type in ("Conv", "Gemm")
    }
    assert found.missed == {}


def test_the_float_model_has_no_integers(models: Models) -> None:
    """Nothing was asked of a float model, and it doesn't miss anything."""
    found = execution(models.path("cnn"), batch("cnn"))

    assert found.shares == {"float": pytest.approx(1)}
    assert found.missed == {}


def test_int8_activations_are_named_as_the_reason(models: Models) -> None:
    """S8S8: the layers that were asked for and ran in float are named, with what keeps them from being fused."""
    found = execution(models.static("cnn", CNN_OPERATORS, activations=QuantType.QInt8), batch("cnn"))

    assert 0 < found.integer_share < 0.9
    assert STEM in found.missed
    assert all("int8" in reason for reason in found.missed.values())


def test_what_was_left_out_isnt_missed(models: Models) -> None:
    """A float island is in float because it was to be: it has a reason, but nobody misses it."""
    found = execution(models.static("cnn", CNN_OPERATORS, keep_float=[STEM]), batch("cnn"))

    (stem,) = (one for one in found.kernels if one.name == STEM)
    assert (stem.precision, stem.asked, stem.reason) == ("float", False, "the quantization left it in float")
    assert found.missed == {}
    assert found.integer_share == pytest.approx(1 - stem.share)


def test_dynamic_layers_count_as_integers(models: Models) -> None:
    """DynamicQuantizeLSTM and DynamicQuantizeMatMul take floats, and multiply integers."""
    found = execution(models.dynamic("lstm"), batch("lstm"))

    assert {one.operator for one in found.kernels} == {"DynamicQuantizeLSTM", "DynamicQuantizeMatMul"}
    assert found.integer_share == pytest.approx(1)


def test_products_of_activations_stay_in_float(models: Models) -> None:
    """Dynamically, attention's own products aren't quantized, which is said."""
    found = execution(models.dynamic("encoder"), batch("encoder"))

    floats = [one for one in found.kernels if one.precision == "float"]
    assert floats
    assert all(one.reason == "the quantization left it in float: neither side is a constant" for one in floats)


def test_no_integer_kernel_is_named(models: Models) -> None:
    """Nearly nothing of a GRU runs in integers, and one that was asked for is missed, with the reason."""
    found = execution(models.dynamic("gru"), batch("gru"), asked=["/cells/GRU"])

    assert found.integer_share < 0.01
    assert found.missed == {"/cells/GRU": "ONNX Runtime's CPU has no integer kernel for GRU"}


def test_a_convolution_by_itself_has_to_answer_integers(tmp_path: Path, models: Models) -> None:
    """A Conv that is asked for, and whose answer stays a float, isn't fused: that is the reason."""
    file = onnx.load(models.static("cnn", ("Conv",)))
    answer = next(node for node in file.graph.node if node.name == SUMMED).output[0]
    dropped = next(node for node in file.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == answer)
    back = next(node for node in file.graph.node if node.input and node.input[0] == dropped.output[0])
    for node in file.graph.node:
        for index, name in enumerate(node.input):
            if name == back.output[0]:
                node.input[index] = answer
    file.graph.node.remove(dropped)
    file.graph.node.remove(back)
    path = tmp_path / "model.onnx"
    onnx.save(file, path)

    missed = execution(path, batch("cnn")).missed

    assert missed == {SUMMED: "what it answers isn't quantized, and the kernel would answer integers"}


def test_dynamic_convolutions_are_integers_too(tmp_path: Path, models: Models) -> None:
    """ConvInteger, slow as it is, is an integer kernel."""
    path = tmp_path / "model.onnx"
    quantize_dynamic(models.path("cnn"), path, op_types_to_quantize=["Conv"], weight_type=QuantType.QUInt8)

    found = execution(path, batch("cnn", 1))

    assert "ConvInteger" in {one.operator for one in found.kernels}
    assert found.integer_share > 0.99


@pytest.mark.parametrize("level, precision", [(0, "weights only"), (4, "integer")])
def test_weights_of_four_bits_are_told_from_integers(
    tmp_path: Path, models: Models, level: int, precision: str
) -> None:
    """MatMulNBits multiplies integers only at the accuracy level that lets it."""
    quantizer = MatMulNBitsQuantizer(onnx.load(models.path("encoder")), block_size=32, accuracy_level=level)
    quantizer.process()
    path = tmp_path / "model.onnx"
    onnx.save(quantizer.model.model, path)

    kernels = [one for one in execution(path, batch("encoder")).kernels if one.operator == "MatMulNBits"]

    assert kernels
    assert {one.precision for one in kernels} == {precision}
    assert all(one.macs for one in kernels)


def test_half_floats_on_a_cpu_arent_computed_as_such(tmp_path: Path) -> None:
    """A file of fp16 weights is computed in float32 where the runtime has no kernel for halves."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    path = write(tmp_path / "float.onnx", node, (2, 64), w=np.ones((64, 32)))
    half = tmp_path / "half.onnx"
    onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True), half)

    (found,) = execution(half, {"x": np.ones((2, 64), np.float32)}).kernels

    assert found.precision in ("float", "half")
    assert found.name == "product"


@pytest.mark.parametrize("precision, expected", [("f32", "float"), ("bf16", "bfloat16")])
def test_openvino_says_what_it_computes_in(models: Models, precision: str, expected: str) -> None:
    """A GRU by OpenVINO: in bf16 where that is asked for and the CPU has it; as many operations as ONNX Runtime's."""
    found = compiled(models.path("gru"), batch("gru"), precision=precision).execution

    assert found.macs == execution(models.path("gru"), batch("gru")).macs
    if precision == "bf16" and "bfloat16" not in found.shares:
        pytest.skip("the CPU has no bf16")
    assert found.shares == {expected: pytest.approx(1)}


@pytest.mark.parametrize("name", ["cnn", "encoder"])
def test_openvino_runs_quantized_files_in_integers(models: Models, name: str) -> None:
    """The same file in the other runtime: nearly all in integers, by the names of its nodes; what isn't is missed."""
    path = models.static(name, CNN_OPERATORS if name == "cnn" else ("MatMul", "Gemm"))
    found = compiled(path, batch(name))

    names = {node.name for node in onnx.load(path).graph.node}
    assert found.execution.macs == execution(path, batch(name)).macs
    assert found.execution.integer_share > 0.9
    assert all(one.name in names for one in found.execution.kernels)
    assert all(one.precision == "integer" or one.name in found.execution.missed for one in found.execution.kernels)
    assert sum(found.seconds.values()) == pytest.approx(sum(node.seconds for node in found.nodes))
    assert sum(found.seconds.get(one.name, 0.0) for one in found.execution.kernels) > 0


@pytest.mark.parametrize("operator, attributes", [("MatMul", {}), ("Einsum", {"equation": "ni,ij->nj"})])
def test_weights_in_bytes_alone_are_no_integers_by_openvino(
    operator: str, attributes: dict[str, str], tmp_path: Path
) -> None:
    """A product of floats, whose weights and answers are bytes in the file, beside one of integers."""
    value, byte = helper.make_tensor_value_info, ["scale", "zero"]
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "tenth", "none"], ["floats"]),
        helper.make_node(operator, ["x", "floats"], ["a"], name="floating", **attributes),
        helper.make_node("QuantizeLinear", ["a", *byte], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", *byte], ["b"]),
        helper.make_node("MatMul", ["b", "floats"], ["y"]),
    ]
    arrays: dict[str, np.ndarray] = {
        "w": np.random.default_rng(0).integers(-127, 128, (16, 16)).astype(np.int8),
        "tenth": np.array(0.1, np.float32),
        "none": np.array(0, np.int8),
        "scale": np.array(0.5, np.float32),
        "zero": np.array(128, np.uint8),
    }
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    ends = [value("x", FLOAT, ["N", 16])], [value("y", FLOAT, ["N", 16])]
    graph = helper.make_graph(nodes, "graph", *ends, weights)
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)

    found = compiled(path, {"x": np.ones((1, 16), np.float32)}).execution
    assert [one.precision for one in found.kernels] == ["float", "integer"]
    assert found.missed.keys() == set()
    assert found.integer_share == pytest.approx(0.5)


def test_what_cant_be_counted_is_named(tmp_path: Path) -> None:
    """A product in a branch, beside one that is counted: by both runtimes."""
    path = tmp_path / "model.onnx"
    value = helper.make_tensor_value_info
    branches = [
        helper.make_graph([helper.make_node(operator, names, ["b"])], "branch", [], [value("b", FLOAT, ["N", 8])])
        for operator, names in (("MatMul", ["a", "w"]), ("Relu", ["a"]))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"], name="product"),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        helper.make_node("If", ["positive"], ["y"], name="choice", then_branch=branches[0], else_branch=branches[1]),
    ]
    arrays = {"w": np.ones((8, 8), np.float32), "zero": np.zeros((), np.float32)}
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "graph", [value("x", FLOAT, ["N", 8])], [value("y", FLOAT, ["N", 8])], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), path)

    rows = {"x": np.ones((2, 8), np.float32)}
    for found in (execution(path, rows), compiled(path, rows).execution):
        assert found.macs == 2 * 8 * 8
        assert found.uncounted in (("If choice",), ("If y",))


def test_files_that_cant_run_are_named(tmp_path: Path, models: Models) -> None:
    """A file that is no model, and inputs that don't fit, are errors that say which."""
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")

    with pytest.raises(ArtifactError, match=r"broken\.onnx: can't be loaded"):
        execution(broken, batch("mlp"))
    with pytest.raises(ArtifactError, match=r"mlp\.onnx: can't compute row \[4, 3\]"):
        execution(models.path("mlp"), {"row": np.ones((4, 3), np.float32)})
