"""Multiply-accumulates by shapes."""

import math
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from tests.training import odd_graphs
from tests.training.compression.evidence.graphs import write
from tests.training.compression.evidence.models import Models, batch
from tests.training.imports.graphs import saved
from training.compression.evidence.arithmetic import multiply_accumulates
from training.compression.evidence.profile import profile

small = st.integers(1, 4)


@given(small, small, small, small, st.integers(1, 3), st.integers(5, 9), st.integers(1, 2))
def test_convolutions_are_counted_tap_by_tap(
    rows: int, groups: int, inner: int, outer: int, kernel: int, size: int, stride: int
) -> None:
    """A convolution multiplies once for each number that comes out, tap of its kernel and channel of its group."""
    side = (size - kernel) // stride + 1
    data, answer = (rows, groups * inner, size, size), (rows, groups * outer, side, side)
    attributes = {"group": groups, "kernel_shape": [kernel, kernel]}
    taps = sum(1 for _ in range(inner) for _ in range(kernel) for _ in range(kernel))

    assert multiply_accumulates("Conv", attributes, [data], [answer]) == math.prod(answer) * taps
    last = [(rows, size, size, groups * inner)], [(rows, side, side, groups * outer)]
    assert multiply_accumulates("QLinearConv", {**attributes, "channels_last": 1}, *last) == math.prod(answer) * taps
    weights = (groups * outer, inner, kernel, kernel)
    assert multiply_accumulates("Conv", {"group": groups}, [data, weights], [answer]) == math.prod(answer) * taps
    assert multiply_accumulates("ConvTranspose", attributes, [answer], [data]) == math.prod(answer) * taps


@given(small, small, small, small)
def test_products_are_counted(rows: int, heads: int, shared: int, outer: int) -> None:
    """A product multiplies once for each number that comes out and each that both sides share."""
    count = rows * heads * outer * shared

    assert multiply_accumulates("MatMul", {}, [(rows, heads, shared)], [(rows, heads, outer)]) == count
    assert multiply_accumulates("Gemm", {"transA": 1}, [(shared, rows)], [(rows, outer)]) == rows * outer * shared


@pytest.mark.parametrize("operator, gates", [("RNN", 1), ("GRU", 3), ("LSTM", 4), ("DynamicQuantizeLSTM", 4)])
def test_recurrent_layers_are_counted_by_their_gates(operator: str, gates: int) -> None:
    """Each gate of each direction sees the inputs and the state at each step."""
    both = {"hidden_size": 16, "direction": b"bidirectional"}

    assert multiply_accumulates(operator, {"hidden_size": 16}, [(5, 2, 8)], []) == 5 * 2 * gates * 16 * (8 + 16)
    assert multiply_accumulates(operator, both, [(5, 2, 8)], []) == 2 * 5 * 2 * gates * 16 * (8 + 16)


def test_both_kinds_of_attention_are_told_apart() -> None:
    """ONNX's Attention takes queries and keys, Microsoft's makes them and the values first."""
    query, key, mixed = (2, 4, 10, 8), (2, 4, 12, 8), 2 * 10 * 12 * 32 * 2
    made = 2 * 10 * 32 * 3 * 32 + 2 * 10 * 10 * 32 * 2

    assert multiply_accumulates("Attention", {}, [query, key, key], [query]) == mixed
    assert multiply_accumulates("MultiHeadAttention", {}, [(2, 10, 32), (2, 12, 32)], [(2, 10, 32)]) == mixed
    assert multiply_accumulates("Attention", {}, [(2, 10, 32)], [(2, 10, 32)], domain="com.microsoft") == made


@pytest.mark.parametrize(
    "equation, left, right, answer, count",
    [
        (b"bhid, bhjd -> bhij", (2, 4, 10, 8), (2, 4, 12, 8), (2, 4, 10, 12), 2 * 4 * 10 * 12 * 8),
        (b"ij,jk", (3, 5), (5, 7), (3, 7), 3 * 5 * 7),
        (b"ij,jk->ik", (3, 1), (5, 7), (3, 7), 3 * 5 * 7),
        (b"ij,ij->ij", (3, 5), (3, 5), (3, 5), 0),
        (b"...ij,jk->...ik", (2, 3, 5), (5, 7), (2, 3, 7), None),
        (b"ij->ji", (3, 5), (5, 3), (5, 3), None),
    ],
)
def test_equations_of_two_sides_are_counted(
    equation: bytes, left: tuple[int, ...], right: tuple[int, ...], answer: tuple[int, ...], count: int | None
) -> None:
    """Once for each number that comes out and each that is summed over; what only multiplies doesn't add."""
    assert multiply_accumulates("Einsum", {"equation": equation}, [left, right], [answer]) == count


def test_what_holds_others_isnt_counted() -> None:
    """Elementwise operators have no multiply-accumulates, and those of a loop or of moved taps aren't known."""
    assert multiply_accumulates("Add", {}, [(3, 4), (3, 4)], [(3, 4)]) == 0
    assert multiply_accumulates("Loop", {}, [(3, 4)], [(3, 4)]) is None
    assert multiply_accumulates("DeformConv", {}, [(1, 4, 8, 8)], [(1, 4, 6, 6)]) is None


@pytest.mark.parametrize("name", ["cnn", "encoder", "lstm", "gru", "mlp"])
def test_optimizations_change_no_count(models: Models, name: str) -> None:
    """The optimized graph, with what was fused and laid out anew, multiplies as often as the file's own nodes."""
    session = onnxruntime.SessionOptions()
    session.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    file = onnx.load(models.path(name))
    shapes = {one.name: one for one in onnx.shape_inference.infer_shapes(file).graph.value_info}
    file.graph.output.extend(one for one in shapes.values() if one.name not in {out.name for out in file.graph.output})
    run = onnxruntime.InferenceSession(file.SerializeToString(), session)
    names = [one.name for one in run.get_outputs()]
    values = dict(zip(names, run.run(names, dict(batch(name))), strict=True))
    sizes = {key: array.shape for key, array in {**values, **batch(name)}.items()}
    sizes |= {one.name: tuple(one.dims) for one in file.graph.initializer}
    count = 0
    for node in file.graph.node:
        attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        inputs, outputs = ([sizes.get(key, ()) for key in names if key] for names in (node.input, node.output))
        count += multiply_accumulates(node.op_type, attributes, inputs, outputs) or 0

    assert sum(node.macs or 0 for node in profile(models.path(name), batch(name)).nodes) == count > 0


def test_weights_that_come_in_as_they_run_count_too(tmp_path: Path) -> None:
    """What a node moves is its data, its weights and its answers, also where the runtime has packed the weights."""
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="product")
    path = write(tmp_path / "model.onnx", node, (2, 64), w=np.ones((64, 32)))

    (found,) = profile(path, {"x": np.ones((2, 64), np.float32)}).nodes

    assert (found.name, found.macs, found.moved) == ("product", 2 * 64 * 32, 4 * (2 * 64 + 64 * 32 + 2 * 32))


def test_channels_of_zeros_arent_counted(tmp_path: Path) -> None:
    """Six channels, which the runtime computes as sixteen, count as six."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="convolution", pads=[1, 1, 1, 1])
    path = write(tmp_path / "model.onnx", node, (1, 4, 8, 8), w=np.ones((6, 4, 3, 3)))

    found = profile(path, {"x": np.ones((1, 4, 8, 8), np.float32)}).nodes

    assert sum(one.macs or 0 for one in found) == 6 * 8 * 8 * 4 * 3 * 3


def test_a_kernel_is_known_by_its_weights_too(tmp_path: Path) -> None:
    """Also where a node doesn't say how large it is, and the runtime has packed the weights."""
    made = odd_graphs.transposed()
    rows = odd_graphs.samples_of(made)
    (node,) = [one for one in profile(saved(made, tmp_path), rows).nodes if one.macs]
    assert math.prod(rows["x"].shape) * 3 * 3 * 3 == node.macs
