"""Layers by OpenVINO beside the same network in floating point."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.training.compression.evidence.models import CNN_OPERATORS, SAMPLES, Models
from training.compression.evidence.execution import Execution, Kernel
from training.compression.evidence.footprint import memory
from training.compression.evidence.openvino_execution import CompiledNode
from training.compression.evidence.openvino_layers import beside, layered
from training.compression.evidence.origins import Origins
from training.runtime import OPENVINO
from training.session import open_model

EIGHT = {name: {key: array[:8] for key, array in samples.items()} for name, samples in SAMPLES.items()}

LEAST_MACS = 100_000
"""What takes less may be told as nothing, in whole microseconds."""


@pytest.mark.parametrize("name", ["cnn", "encoder"])
def test_layers_of_integers_stand_beside_those_of_floats(models: Models, name: str) -> None:
    """By the names of the float file; all that is multiplied is there, and times add up to those of a run."""
    operators = CNN_OPERATORS if name == "cnn" else ("MatMul", "Gemm")
    found = layered(models.path(name), models.static(name, operators), EIGHT[name])
    counted = [row for row in found.rows if row.macs]
    assert sum(row.share for row in counted) == pytest.approx(1)
    assert sum(row.share for row in counted if row.precision == "integer") > 0.9
    assert all(row.float_us > 0 for row in counted if row.macs > LEAST_MACS)
    fall = found.waterfall
    assert fall.float_us == pytest.approx(sum(row.float_us for row in found.rows))
    assert fall.compressed_us == pytest.approx(sum(row.kernel_us + row.conversions_us for row in found.rows))
    assert fall.float_us + sum(step.us for step in fall.steps) == pytest.approx(fall.compressed_us)
    assert found.speed_up == pytest.approx(fall.float_us / fall.compressed_us)


def node(name: str, microseconds: float, operator: str = "FullyConnected", *, integer: bool = False) -> CompiledNode:
    return CompiledNode(
        name=name,
        layers=(name,),
        operator=operator,
        kernel="jit",
        precision="integer" if integer else "float",
        macs=0 if operator == "Convert" else 1000,
        seconds=microseconds * 1e-6,
    )


def other(name: str) -> CompiledNode:
    """What the network in floating point computes along with its layers."""
    return replace(node(name, 40, "MVN"), macs=0)


@pytest.mark.parametrize(
    "nodes, cause, text",
    [
        (
            [node("a", 100, integer=True), node("b", 60, integer=True)],
            "slower kernel",
            "most is lost in a: jit takes 50",
        ),
        ([node("a", 90), node("b", 60, integer=True)], "no integer kernel", "most is lost in a: it didn't want to"),
        (
            [node("a", 30, integer=True), node("a", 80, "Convert"), node("b", 40, integer=True)],
            "conversions",
            "conversions take 80.0 us of it",
        ),
        ([node("a", 51, integer=True), node("b", 48, integer=True)], None, "no layer is slower"),
        (
            [node("a", 30, integer=True), node("b", 40, integer=True), node("a", 5, "Convert"), *map(other, "xy")],
            "another float kernel",
            "80.0 us are lost in what multiplies nothing, most in MVN",
        ),
        ([node("a", 20, integer=True), node("b", 60, integer=True)], None, "1.25 times as fast"),
    ],
)
def test_what_isnt_faster_has_a_cause(nodes: list[CompiledNode], cause: str | None, text: str) -> None:
    """That of the layer that lost most; conversions or what multiplies nothing, where more is lost by them."""
    shape = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], [name], name) for name in "ab"], "g", [shape], [])
    kernel = Kernel(
        name="a",
        operator="FullyConnected",
        precision="float",
        macs=1,
        share=0.5,
        asked=True,
        reason="it didn't want to",
    )
    floats = all(one.precision == "float" for one in nodes[:1])
    execution = Execution(kernels=(kernel,) if floats else (), macs=2, shares={})
    found = beside(Origins(helper.make_model(graph)), [node("a", 50), node("b", 50)], nodes, execution)
    assert (cause, True) == (found.cause, text in found.why), found.why
    slower = cause not in {None, "another float kernel"}
    assert ("a" in {row.name for row in found.rows if row.cause}) == slower


def test_it_answers_as_the_other_runtime(models: Models) -> None:
    """The same outputs by the same names, and memory of its own process."""
    for name in ("cnn", "mlp"):
        path, inputs = models.path(name), EIGHT[name]
        expected, found = open_model(path)(inputs), open_model(path, runtime=OPENVINO)(inputs)
        assert list(expected) == list(found)
        assert all(np.allclose(expected[key], found[key], atol=1e-4) for key in expected)
    assert 0 < memory(models.path("mlp"), EIGHT["mlp"], runtime=OPENVINO).own < 400_000_000
