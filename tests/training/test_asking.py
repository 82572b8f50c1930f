"""Several variants in one service: one that can't be computed, or doesn't answer, is refused, and the others go on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console

from service.errors import ArtifactError
from tests.training import odd_graphs
from tests.training.imports.graphs import saved
from training import timing
from training.compression.quantization.half import half
from training.compression.quantization.preparation import prepare
from training.compression.search.design import Design
from training.errors import Unanswered
from training.runtime import OPENVINO
from training.specimens.file import FileSettings, FileSpecimen
from training.steps import asking
from training.steps.journal import Journal
from training.timing import EvaluateSettings

QUIET = Console(file=StringIO())
OTHER, FATAL = Design(numbers="static"), Design(numbers="half")


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileSpecimen]:
    """A recurrent network, of which a file in half floats ends the process that loads it."""
    folder = tmp_path_factory.mktemp("asked")
    source = saved(odd_graphs.recurrent(), folder, "mine.onnx")
    with pytest.MonkeyPatch.context() as patch, Journal(FileSettings(name="mine", source=source), folder, QUIET) as own:
        patch.setattr(FileSpecimen, "settings", EvaluateSettings(rounds=1, requests=3, batch_sizes=(1,)))
        yield FileSpecimen(own)


def files(specimen: FileSpecimen, *designs: Design) -> dict[Design, Path]:
    return {one: specimen.floating(one.network) for one in (Design(), *designs)}


def test_a_variant_that_ends_its_process_is_refused(specimen: FileSpecimen, tmp_path: Path) -> None:
    """ONNX Runtime's own fault, on loading; the teacher and the third are answered and timed."""
    prepare(specimen.floating(Design().network), tmp_path / "prepared.onnx")
    half(tmp_path / "prepared.onnx", tmp_path / "half.onnx")
    asked = {**files(specimen, OTHER), FATAL: tmp_path / "half.onnx"}
    found = asking.ask(specimen, asked, "validation", QUIET)
    why = "ONNX Runtime ends its process (SIGSEGV) when it loads or computes it"
    assert {FATAL.name: why} == found.refused
    assert {Design().name, OTHER.name} == set(found.answers) == set(found.times)
    with pytest.raises(ArtifactError, match=r"teacher: ONNX Runtime ends its process \(SIGSEGV\)"):
        asking.ask(specimen, {Design(): tmp_path / "half.onnx"}, "validation", QUIET)


@dataclass
class Failing:
    """A service that gives up `model` while it is timed."""

    model: str
    asked: list[list[str]] = field(default_factory=list)

    def __call__(self, _: Any, models: list[str], *rest: Any) -> Mapping[str, Any]:
        self.asked.append(models)
        if self.model in models:
            raise Unanswered(self.model, "its worker ended")
        return dict.fromkeys(models)


def test_a_variant_that_is_given_up_while_it_is_timed_is_refused(
    specimen: FileSpecimen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are measured again, without it; of the teacher nothing can be done without."""
    monkeypatch.setattr(timing, "time_side_by_side", failing := Failing("mine-teacher-static"))
    found = asking.ask(specimen, files(specimen, OTHER), "validation", QUIET)
    assert {OTHER.name: "mine-teacher-static: the service answered its worker ended"} == found.refused
    assert {Design().name} == set(found.answers) == set(found.times)
    assert [["mine-teacher", "mine-teacher-static"], ["mine-teacher"]] == failing.asked
    monkeypatch.setattr(timing, "time_side_by_side", Failing("mine-teacher"))
    with pytest.raises(Unanswered, match="mine-teacher: the service answered"):
        asking.ask(specimen, files(specimen, OTHER), "validation", QUIET)


def test_a_variant_that_answers_no_numbers_is_refused(specimen: FileSpecimen, tmp_path: Path) -> None:
    """Nothing could be told of it, and figures that are no numbers can't be kept."""
    broken = odd_graphs.recurrent()
    last = broken.graph.output[0].name
    broken.graph.node[-1].output[0] = "before"
    broken.graph.node.append(helper.make_node("Div", ["before", "nothing"], [last]))
    broken.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
    asked = {**files(specimen), OTHER: saved(broken, tmp_path, "broken.onnx")}
    found = asking.ask(specimen, asked, "validation", QUIET)
    assert {OTHER.name: f"answers NaN or infinity ({last}) to 4 of 4 inputs"} == found.refused


def test_a_file_that_the_runtime_refuses_is_refused(specimen: FileSpecimen, tmp_path: Path) -> None:
    """With its words; nobody else is held up."""
    broken = odd_graphs.recurrent()
    broken.graph.node[-1].input[1] = "w"
    asked = {**files(specimen), OTHER: saved(broken, tmp_path, "broken.onnx")}
    found = asking.ask(specimen, asked, "validation", QUIET)
    assert [OTHER.name] == list(found.refused)
    assert "ONNXRuntimeError" in found.refused[OTHER.name]
    assert {Design().name} == set(found.answers)


def test_a_file_with_an_operator_that_the_runtime_lacks_is_refused(specimen: FileSpecimen, tmp_path: Path) -> None:
    """By the operator's name: OpenVINO knows no classifiers of scikit-learn's, which ONNX Runtime does."""
    shape = ["N", odd_graphs.samples_of(odd_graphs.recurrent())["x"].shape[1]]
    scaler = helper.make_node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[0.0], scale=[2.0])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(helper.make_graph([scaler], "scaled", values[:1], values[1:]), opset_imports=opsets)
    other = Design(runtime=OPENVINO)
    found = asking.ask(specimen, {**files(specimen), other: saved(made, tmp_path, "scaled.onnx")}, "validation", QUIET)
    assert "No conversion rule found for operations: ai.onnx.ml.Scaler" in found.refused[other.name]
    assert "core.cpp" not in found.refused[other.name]
    assert {Design().name} == set(found.answers)
