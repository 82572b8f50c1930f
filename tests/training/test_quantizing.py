"""What a search gives a network other numbers by: which methods, what of it stays in float, and what can't be."""

from collections.abc import Collection
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from service.errors import ArtifactError
from tests.training import odd_graphs
from tests.training.compression.quantization.files import Prepared, architecture
from tests.training.imports.graphs import saved
from training.compression.evidence.reverting import Quantize, Reverted
from training.compression.search.design import Design
from training.deadline import OVER, Deadline
from training.session import open_model
from training.specimens.file import FileSettings
from training.steps import quantizing
from training.steps.journal import Journal
from training.steps.quantizing import COSTLY, SENSITIVE, made_of, methods, quantized

RECURRENT = "ONNX Runtime has no integer kernel for it"


def journal(folder: Path) -> Journal[Any]:
    return Journal(FileSettings(name="mine", source=folder / "mine.onnx"), folder, Console(file=StringIO()))


def convolutions(folder: Path) -> Prepared:
    """A convolution, a transposed one and a GRU, one after the other: images [N, 1, 8, 8] to states."""
    random = np.random.default_rng(0)
    weights = {
        "kernel": random.normal(size=(4, 1, 3, 3)),
        "wide": random.normal(size=(4, 2, 2, 2)),
        "w": random.normal(size=(1, 15, 32)) / 6,
        "r": random.normal(size=(1, 15, 5)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["inner"], name="narrow", pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["inner", "wide"], ["large"], name="widen", strides=[2, 2]),
        helper.make_node("Reshape", ["large", "shape"], ["steps"], name="flatten"),
        helper.make_node("Transpose", ["steps"], ["turned"], name="turn", perm=[1, 0, 2]),
        helper.make_node("GRU", ["turned", "w", "r"], ["states"], name="remember", hidden_size=5),
        helper.make_node("Squeeze", ["states", "directions"], ["straight"], name="squeeze"),
        helper.make_node("Transpose", ["straight"], ["y"], name="turn back", perm=[1, 0, 2]),
    ]
    integers = {"shape": np.array([-1, 16, 32]), "directions": np.array([1])}
    graph = helper.make_graph(
        nodes,
        "mixed",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 16, 5])],
        [
            *(numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()),
            *(numpy_helper.from_array(array, name) for name, array in integers.items()),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "mine.onnx").write_bytes(model.SerializeToString())
    return Prepared(path=folder / "mine.onnx", samples={"x": random.normal(size=(16, 1, 8, 8)).astype(np.float32)})


@pytest.mark.parametrize(
    "name, found",
    [
        ("resnet that embeds", "static static_entropy static_percentile dynamic half"),
        (
            "encoder",
            "static static_entropy static_percentile static_tensor dynamic dynamic_tensor weights8 weights4 half",
        ),
        ("mlp", "static static_entropy static_percentile static_tensor dynamic dynamic_tensor half"),
    ],
)
def test_a_graph_has_the_methods_that_there_are_kernels_for(name: str, found: str) -> None:
    """One scale a tensor is for products of matrices alone, weights alone for those with few rows."""
    assert found.split() == list(methods(architecture(name).path))


@pytest.mark.parametrize("numbers", ["static_tensor", "dynamic_tensor"])
def test_one_scale_a_tensor(numbers: str, tmp_path: Path) -> None:
    """Is all that a product's weights have."""
    it, book = architecture("mlp"), journal(tmp_path)
    files = [quantized(book, Design(numbers=one), it.path, it.samples) for one in (numbers.partition("_")[0], numbers)]
    channels, whole = (
        sum(one.dims[0] for one in onnx.load(path).graph.initializer if len(one.dims) == 1) for path in files
    )
    assert whole < channels
    assert it.error(files[1]) < 0.1


def test_the_most_sensitive_stay_in_float(tmp_path: Path) -> None:
    """By name, with the reason; the more of them, the nearer the answers."""
    it, book = architecture("encoder"), journal(tmp_path)
    errors = []
    for kept in (1, 4):
        design = Design(numbers=f"static_mixed{kept}")
        errors.append(it.error(quantized(book, design, it.path, it.samples)))
        left = made_of(book, design).left
        assert kept == len([one for one in left.values() if one == SENSITIVE])
        assert {name: reason for name, reason in left.items() if reason != SENSITIVE} == {
            name: reason for name, reason in left.items() if reason == "multiplies two activations"
        }
    assert errors[1] < errors[0] < it.error(quantized(book, Design(numbers="static"), it.path, it.samples))
    with pytest.raises(ArtifactError, match=r"static: only \d+ layers can be integers, so that none would be left"):
        quantized(book, Design(numbers="static_mixed99"), it.path, it.samples)


class Slow:
    """Instead of `revert`: some layers cost time, whatever the clock says."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = frozenset(names)

    def __call__(self, original: Path, quantize: Quantize, *_: Any) -> Reverted:
        model = quantize(self.names) if self.names else original.with_name("same.onnx")
        return Reverted(model=model, keep_float=self.names, trials=(), compared=None)  # type: ignore[arg-type]


def test_what_costs_time_stays_in_float(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name, beside what is kept for its sensitivity."""
    it, book = architecture("mlp"), journal(tmp_path)
    monkeypatch.setattr(quantizing, "revert", Slow(["/network/head/Gemm"]))
    design = Design(numbers="static_reverted")
    quantized(book, design, it.path, it.samples)
    assert {"/network/head/Gemm": COSTLY} == made_of(book, design).left


@pytest.mark.parametrize("all_of_it, text", [(True, "all of it costs more time"), (False, "no layer costs more time")])
def test_a_file_that_would_be_another_one_isnt_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, *, all_of_it: bool
) -> None:
    """Where nothing costs, or where everything does: there are files of that already."""
    it = architecture("mlp")
    names = [node.name for node in it.graph.node] if all_of_it else []
    monkeypatch.setattr(quantizing, "revert", Slow(names))
    with pytest.raises(ArtifactError, match=text):
        quantized(journal(tmp_path), Design(numbers="static_reverted"), it.path, it.samples)


@pytest.mark.parametrize("everything", [True, False])
def test_that_nothing_can_be_reverted_is_found_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, everything: bool
) -> None:
    """The next search is told without a measurement, and without any time."""
    it = architecture("mlp")
    monkeypatch.setattr(quantizing, "revert", Slow([node.name for node in it.graph.node] if everything else []))
    first, second = journal(tmp_path), journal(tmp_path)
    for book, deadline in ((first, Deadline()), (second, OVER)):
        with pytest.raises(ArtifactError, match="costs more time"), book.until(deadline):
            quantized(book, Design(numbers="static_reverted"), it.path, it.samples)
    assert second.times["costly-teacher-static"].cached


def test_reverting_is_by_the_clock(tmp_path: Path) -> None:
    """Of a real one: whatever comes of it is a file that answers, or a reason."""
    it = architecture("mlp")
    with suppress(ArtifactError):
        path = quantized(journal(tmp_path), Design(numbers="dynamic_reverted"), it.path, it.samples)
        assert it.error(path) < 0.1


def test_what_has_no_kernel_is_left_and_named(tmp_path: Path) -> None:
    """In what a search tells of the variant."""
    it, book = convolutions(tmp_path), journal(tmp_path)
    path = quantized(book, Design(numbers="static"), it.path, it.samples)
    assert open_model(path)(it.samples)
    assert {"widen": RECURRENT, "remember": RECURRENT} == made_of(book, Design(numbers="static")).left
    assert f"left in float: widen, remember ({RECURRENT})" == str(made_of(book, Design(numbers="static")))


def test_ranges_of_a_batch_are_told(tmp_path: Path) -> None:
    """Answers of dynamic integers move with mates, those of static ones don't."""
    it, book = architecture("lstm"), journal(tmp_path)
    quantized(book, Design(numbers="dynamic"), it.path, it.samples)
    assert made_of(book, Design(numbers="dynamic")).mates > 1e-4
    quantized(book, Design(numbers="static"), it.path, it.samples)
    assert made_of(book, Design(numbers="static")).mates < 1e-6


def test_sixteen_bits_are_not_halved_again(tmp_path: Path) -> None:
    """There is nothing to gain, and the tool that does it makes a file that the runtime refuses, which is told."""
    perceptron = odd_graphs.perceptron(np.float16)
    path = saved(perceptron, tmp_path, "half.onnx")
    assert "half" not in methods(path)
    with pytest.raises(ArtifactError, match="ONNX Runtime refuses what was made of it"):
        quantized(journal(tmp_path), Design(numbers="half"), path, odd_graphs.samples_of(perceptron))


def test_sixteen_bits_are_half_the_size(tmp_path: Path) -> None:
    """Answers are near those of 32."""
    it = architecture("mlp")
    path = quantized(journal(tmp_path), Design(numbers="half"), it.path, it.samples)
    assert path.stat().st_size < 0.7 * it.path.stat().st_size
    assert it.error(path) < 0.01


def test_a_file_that_brings_the_runtime_down_is_refused(tmp_path: Path) -> None:
    """It is tried in a process of its own: ONNX Runtime 1.31 crashes while it loads some recurrent files of 16 bits."""
    it = architecture("gru by steps")
    with pytest.raises(ArtifactError, match="ONNX Runtime ends its process"):
        quantized(journal(tmp_path), Design(numbers="half"), it.path, it.samples)
