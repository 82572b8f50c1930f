"""What is told of every variant: what each layer took, how far its answers are, and where the time went."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from rich.console import Console

from tests.training.compression.evidence.models import SAMPLES, Models
from training.compression.search.design import Design, Network
from training.compression.search.made import Made
from training.runtime import OPENVINO, OPENVINO_BF16
from training.specimens.file import FileSettings
from training.steps.explaining import Evidence, Source, explain
from training.steps.journal import Journal

STUDENT = Network(route="student", share=0.12)
LAYERS = ["layers in integers", "layers in floats", "conversions", "other operators", "rest"]
BY_OPENVINO = ["layers in fewer bits", *LAYERS[1:]]


@pytest.fixture
def journal(tmp_path: Path) -> Journal[Any]:
    return Journal(FileSettings(name="mine", source=Path("mine.onnx")), tmp_path, Console(quiet=True))


def explained(journal: Journal[Any], models: Models, design: Design, *, teacher: str = "cnn") -> Evidence:
    """What is told of an MLP, or of what was made of it, that comes from another network."""
    original = models.path("mlp")
    model = original if design.numbers == "f32" else models.static("mlp", ("Gemm", "Relu"))
    source = Source(model=models.path(teacher), samples=SAMPLES[teacher])
    return explain(journal, design, model, original, SAMPLES["mlp"], teacher=source, rows=4, made=Made())


@pytest.mark.parametrize(
    "design, steps",
    [
        (Design(network=STUDENT), ["network"]),
        (Design(network=STUDENT, numbers="static"), ["network", *LAYERS]),
        (Design(network=STUDENT, runtime=OPENVINO), ["network", "runtime"]),
        (Design(network=STUDENT, numbers="static", runtime=OPENVINO), ["network", "runtime", *BY_OPENVINO]),
    ],
    ids=lambda one: one.name if isinstance(one, Design) else "",
)
def test_time_falls_from_the_teachers_to_the_variants(
    design: Design, steps: list[str], models: Models, journal: Journal[Any]
) -> None:
    """By every step that lies between, of which the smaller network saves most here; and each layer has a time."""
    found = explained(journal, models, design)
    assert found.waterfall is not None
    fall = {step.name: step.us for step in found.waterfall.steps}
    assert steps == list(fall)
    assert found.waterfall.float_us + sum(fall.values()) == pytest.approx(found.waterfall.compressed_us)
    assert min(fall, key=lambda name: fall[name]) == "network"
    assert 3 == sum(row.operator == "Gemm" for row in found.layers)
    assert sum(row.kernel_us for row in found.layers) > 0
    assert (found.speed_up is None) == (design.numbers == "f32")


def test_the_teachers_own_variants_have_no_step_of_the_network(models: Models, journal: Journal[Any]) -> None:
    """The teacher itself has no step at all, but its layers; precision is told by layers."""
    found = explained(journal, models, Design(), teacher="mlp")
    assert (None, None, None) == (found.waterfall, found.speed_up, found.likeness)
    assert all(row.saved_us == pytest.approx(0, abs=1e-6) for row in found.layers)
    steps = {(): OPENVINO, tuple(BY_OPENVINO): OPENVINO_BF16}
    for expected, runtime in steps.items():
        fall = explained(journal, models, Design(runtime=runtime), teacher="mlp").waterfall
        assert fall is not None
        assert ["runtime", *expected] == [step.name for step in fall.steps]


def test_what_numbers_gain_is_what_the_waterfall_says(models: Models, journal: Journal[Any]) -> None:
    """Both are of the same runs: times as fast stand beside steps from the network's time to the variant's."""
    found = explained(journal, models, Design(network=STUDENT, numbers="static"))
    assert found.waterfall is not None
    network = found.waterfall.float_us + found.waterfall.steps[0].us
    assert network / found.waterfall.compressed_us == pytest.approx(found.speed_up, rel=0.2)
    assert f"{found.waterfall.compressed_us:.1f} us a run against {network:.1f} us" in found.why


def test_another_runtime_is_held_to_the_usual_one(models: Models, journal: Journal[Any]) -> None:
    """Floats too: its kernels add in another order."""
    found = explained(journal, models, Design(network=STUDENT, runtime=OPENVINO))
    assert found.likeness is not None
    relative = found.likeness["probabilities"].relative
    assert relative is not None
    assert relative < 1e-4


def test_ids_differ_or_do_not(tmp_path: Path, journal: Journal[Any]) -> None:
    """How far apart two classes are says nothing: what is told is how many rows have another one."""
    paths = [tmp_path / f"{name}.onnx" for name in ("smallest", "largest")]
    for path, operator in zip(paths, ("ArgMin", "ArgMax"), strict=True):
        graph = helper.make_graph(
            [helper.make_node(operator, ["x"], ["class"], name="pick", axis=1, keepdims=0)],
            "ids",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
            [helper.make_tensor_value_info("class", TensorProto.INT64, ["N"])],
        )
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    samples = {"x": np.array([[1, 1, 1], [1, 2, 3], [3, 2, 1], [2, 2, 2]], np.float32)}
    source, design = Source(model=paths[0], samples=samples), Design(numbers="static")
    found = explain(journal, design, paths[1], paths[0], samples, teacher=source, rows=1, made=Made())
    assert found.likeness is not None
    likeness = found.likeness["class"]
    assert (None, 0.5, 2) == (likeness.relative, likeness.differing, likeness.largest)
