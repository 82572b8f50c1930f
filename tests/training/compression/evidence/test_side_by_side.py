"""Both models layer by layer, why one is slower, and where the time went."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import QuantType

from service.artifact.cpu import cpu_flags
from tests.training.architectures import ARCHITECTURES
from tests.training.compression.evidence.graphs import ran
from tests.training.compression.evidence.models import CNN_OPERATORS, SAMPLES, Models, batch, exported, quantize_with
from training.compression.evidence import plots
from training.compression.evidence.breakdown import LayerRow, Step, Waterfall, layer_rows, waterfall
from training.compression.evidence.causes import Cause, explain, why
from training.compression.evidence.execution import Execution
from training.compression.evidence.node import Node
from training.compression.evidence.side_by_side import ComparisonSettings, Layer, SideBySide, side_by_side
from training.compression.quantization.preparation import prepare

SHORT = ComparisonSettings(seconds=0.005)
QUANTIZED = ran("QLinearConv", 4.0, precision="integer", domain="com.microsoft")


def layer(
    float_node: Node, kernel: Node, conversions: tuple[Node, ...] = (), *, operator: str = "Conv", moved: int = 0
) -> Layer:
    """A layer of one kernel in either model."""
    return Layer(
        name="layer",
        operator=operator,
        macs=1000,
        moved=moved,
        float_nodes=(float_node,),
        kernels=(kernel,),
        conversions=conversions,
        float_time=float_node.seconds,
        kernel_time=kernel.seconds,
        conversion_time=sum((one.seconds for one in conversions), np.zeros(10)),
    )


def compared(
    *layers: Layer, execution: Execution | None = None, before: float = 100.0, after: float = 120.0
) -> SideBySide:
    """What was found of these layers, and of a cheap node that shows what a call takes."""
    call = layer(ran("Flatten", 2.0), ran("Flatten", 2.0), operator="Flatten")
    return SideBySide(
        layers=(*layers, replace(call, name="call")),
        execution=execution or Execution(kernels=(), macs=0, shares={}),
        float_run=np.full(10, before * 1e-6),
        compressed_run=np.full(10, after * 1e-6),
    )


@pytest.mark.parametrize(
    "found, cause",
    [
        (layer(ran("Conv", 3.0), QUANTIZED), "too small"),
        (layer(ran("Conv", 9.0), QUANTIZED, (ran("QuantizeLinear", 6.0),)), "conversions"),
        (layer(ran("Conv", 9.0), replace(QUANTIZED, seconds=np.full(10, 2e-5)), moved=64_000_000), "memory-bound"),
        (layer(ran("Conv", 9.0), replace(QUANTIZED, seconds=np.full(10, 2e-5))), "slower kernel"),
        (layer(ran("Conv", 9.0, domain="com.microsoft.nchwc"), ran("Conv", 20.0)), "another float kernel"),
    ],
)
def test_each_cause_is_told_by_its_figures(found: Layer, cause: Cause) -> None:
    """The rules, one by one, each with its own figures in the text."""
    explanation = explain(found, compared(found))

    assert explanation.cause == cause
    assert explanation.seconds == pytest.approx(-np.median(found.saved))
    assert f"{np.median(found.float_time) * 1e6:.1f} us" in explanation.text


def test_a_layer_that_runs_as_before_isnt_slower_by_compression() -> None:
    """The same kernel, which happened to take longer, has no cause."""
    same = layer(ran("Gather", 5.0), ran("Gather", 6.0), operator="Gather")

    assert not same.slower
    assert why(compared(same)).layers == ()


def test_one_round_in_ten_may_say_otherwise_and_two_may_not() -> None:
    """A layer is slower where it was in nine of ten rounds."""
    times = np.full(10, 2e-5)
    times[0] = 1e-6
    once = layer(ran("Conv", 9.0), replace(QUANTIZED, seconds=times))
    times = times.copy()
    times[1] = 1e-6

    assert once.slower
    assert not layer(ran("Conv", 9.0), replace(QUANTIZED, seconds=times)).slower


def test_a_quantized_network_is_compared_layer_by_layer(models: Models) -> None:
    """Fused, renamed and laid out anew, each convolution is found in both graphs, and takes less in integers."""
    found = side_by_side(models.path("cnn"), models.static("cnn", CNN_OPERATORS), batch("cnn"), SHORT)

    convolutions = [one for one in found.layers if one.operator == "Conv"]
    assert all(one.float_nodes and one.in_integers for one in convolutions)
    assert not any(one.operator in ("Conv", "QLinearConv", "FusedConv") for one in found.layers if not one.macs)
    assert found.speed_up > 1.3 or not cpu_flags() & {"avx512_vnni", "avx_vnni"}
    causes = why(found)
    assert causes.cause is None
    table = layer_rows(found, causes)
    assert sum(row.share for row in table) == pytest.approx(1)
    assert {row.name for row in table if row.cause} == {one.layer for one in causes.layers}
    steps = waterfall(found)
    assert steps.float_us + sum(step.us for step in steps.steps) == pytest.approx(steps.compressed_us)
    assert min(steps.steps, key=lambda step: step.us).name == "layers in integers"


def test_nodes_without_names_are_found_again(models: Models, tmp_path: Path) -> None:
    """Whoever wrote the file named none: each product is one layer all the same, beside its own in integers."""
    nameless, prepared, target = (tmp_path / f"{name}.onnx" for name in ("nameless", "prepared", "static"))
    model = onnx.load(models.path("mlp"))
    for node in model.graph.node:
        node.ClearField("name")
    onnx.save(model, nameless)
    prepare(nameless, prepared)
    quantize_with(prepared, target, SAMPLES["mlp"], ("Gemm", "Relu"))
    found = side_by_side(nameless, target, batch("mlp"), SHORT)
    products = [one for one in found.layers if one.operator in {"Gemm", "QGemm"}]
    assert [node.op_type for node in model.graph.node].count("Gemm") == len(products)
    assert all(one.macs and one.float_nodes and one.in_integers for one in products)


def test_a_tiny_network_is_too_small(models: Models) -> None:
    """Where integers lose because there is next to nothing to compute, that is the cause."""
    found = side_by_side(models.path("mlp"), models.static("mlp", ("Gemm", "Relu")), batch("mlp"), SHORT)

    causes = why(found)
    assert found.slower
    assert causes.cause == "too small"
    assert "too small" in causes.text
    assert causes.layers


def test_a_network_without_integer_kernels_says_so(models: Models) -> None:
    """A GRU that was quantized dynamically is as slow as before, because nothing computes it in integers."""
    causes = why(side_by_side(models.path("gru"), models.dynamic("gru"), batch("gru"), SHORT))

    assert causes.cause == "no integer kernel"
    assert "GRU" in causes.text


def test_formats_that_arent_fused_are_the_cause(models: Models) -> None:
    """S8S8 isn't faster, because layers that were asked for run in floats between conversions."""
    quantized = models.static("cnn", CNN_OPERATORS, activations=QuantType.QInt8)
    found = side_by_side(models.path("cnn"), quantized, batch("cnn"), SHORT)

    assert found.speed_up < 1.3
    layers = {one.layer: one for one in why(found).layers}
    unfused = [one for one in layers.values() if one.cause == "not fused"]
    assert max(layers.values(), key=lambda one: one.seconds).cause == "not fused"
    assert all("int8" in one.text for one in unfused)


def test_an_lstm_in_integers_is_one_layer(models: Models) -> None:
    """A dynamic LSTM is compared with its float node, and is faster."""
    found = side_by_side(models.path("lstm"), models.dynamic("lstm"), batch("lstm"), SHORT)

    (lstm,) = (one for one in found.layers if one.operator == "LSTM")
    assert lstm.in_integers
    assert np.median(lstm.saved) > 0


@pytest.mark.parametrize(
    "name", ["depthwise", "detector", "encoder with rotary places", "gan", "lstm that tags", "unet"]
)
def test_layers_of_each_architecture_are_found_in_both_graphs(name: str, tmp_path: Path) -> None:
    """Whatever the runtime makes of either graph, each layer multiplies as often in it, and none is without a twin."""
    original, inputs = exported(ARCHITECTURES[name], tmp_path)
    quantized = tmp_path / "quantized.onnx"
    quantize_with(original, quantized, inputs, ("Conv", "ConvTranspose", "Gemm", "MatMul", "Relu", "Concat"))

    found = side_by_side(original, quantized, inputs, ComparisonSettings(rounds=2, seconds=0.0))

    layers = [one for one in found.layers if any(node.multiplies for node in (*one.float_nodes, *one.kernels))]
    assert all(
        sum(node.macs or 0 for node in one.float_nodes) == sum(node.macs or 0 for node in one.kernels) > 0
        for one in layers
    )
    assert sum(one.macs for one in layers) == found.execution.macs


def test_plots_show_what_was_found() -> None:
    """Both plots are drawn, with the names of what they show."""
    row = LayerRow(
        name="/network/stages/stages.0/first/first.0/Conv",
        operator="Conv",
        precision="integer",
        kernel="QLinearConv",
        macs=1000,
        share=1.0,
        float_us=20.0,
        kernel_us=8.0,
        conversions_us=3.0,
        saved_us=9.0,
        cause=None,
        text=None,
    )
    steps = Waterfall(float_us=30.0, steps=(Step(name="conversions", us=3.0),), compressed_us=33.0)

    assert "first/first.0/Conv" in plots.layers([row])
    assert "conversions" in plots.waterfall(steps)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"most": 0}, {"seconds": -1.0}])
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    """A measurement has at least one run."""
    with pytest.raises(ValueError, match="rounds, most, seconds"):
        ComparisonSettings(**wrong)  # type: ignore[arg-type]
