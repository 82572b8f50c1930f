"""Teachers of which there is an ONNX file alone: they teach what the network would, asked once or every time."""

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from service.errors import SettingsError
from tests.training.compression.distillation.kinds import DECODER, KINDS
from training import stepwise
from training.compression.distillation.exercise import exercise
from training.compression.distillation.onnx_teacher import OnnxTeacher
from training.compression.distillation.recorded import Recorded, answers_of, recorded
from training.compression.distillation.settings import DistilSettings, HintSettings
from training.compression.distillation.unlabelled import drawn, labelled
from training.data.batches import Batch, Batches
from training.data.split import Dataset, Split
from training.data.transforms.noise import Noise
from training.export import BATCH, Probabilities, Signature, export
from training.fit import Fit
from training.graph import tensors_in
from training.networks.catalogue import build
from training.networks.detector import Boxes, Detector
from training.networks.resnet import ResNetConfig
from training.optimization.settings import FitSettings
from training.problems.segmentation import Mask
from training.session import open_model
from training.tasks.classification import Classification
from training.tasks.detection import Detection
from training.tasks.next_token import NextToken
from training.tasks.reconstruction import Reconstruction
from training.tasks.regression import Regression
from training.tasks.segmentation import Segmentation
from training.tasks.tagging import Tagging

FIT = FitSettings(epochs=6, batch_size=16, learning_rate=0.01, watch=None)
SETTINGS = DistilSettings(fit=FIT, temperature=2.0, soft=1.0)
IMAGES = KINDS["images"]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return IMAGES.network(IMAGES.teacher, 1)


@pytest.fixture(scope="module")
def model(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "model.onnx"
    export(Probabilities(network), [IMAGES.split.inputs], path)
    return path


def taught(teacher: nn.Module, split: Split, folder: Path, **told: Any) -> nn.Module:
    folder.mkdir()
    student = told.get("student") or build(IMAGES.student, 5)
    given = exercise(IMAGES.task, student=student, teacher=teacher, settings=SETTINGS, inputs=split.inputs, seed=3)
    batches = Batches(split, size=16, transforms=told.get("transforms", ()), seed=9)
    Fit(given.network, given.task, batches, split, FIT).run(folder, Console(file=StringIO()))
    return student


def apart(first: nn.Module, second: nn.Module) -> float:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return max(float((one - other).abs().max()) for one, other in pairs)


def test_a_file_teaches_what_its_network_teaches(network: nn.Module, model: Path, tmp_path: Path) -> None:
    """Probabilities of the file and logits of the network: students differ by no more than rounding makes of them."""
    expected = taught(network, IMAGES.split, tmp_path / "torch")
    found = taught(OnnxTeacher(model), IMAGES.split, tmp_path / "onnx")
    kept = recorded(OnnxTeacher(model), IMAGES.split.inputs, tmp_path / "answers.npz")
    once = taught(kept, IMAGES.split, tmp_path / "once")
    assert apart(found, once) < 1e-3
    assert apart(expected, found) < 1e-2
    assert apart(expected, build(IMAGES.student, 5)) > 0.05


def test_answers_of_changed_inputs_are_those_to_the_changed_ones(model: Path, tmp_path: Path) -> None:
    """A file is asked anew where inputs are augmented; what was recorded says that it doesn't know."""
    noise = (Noise(deviation=0.1),)
    taught(OnnxTeacher(model), IMAGES.split, tmp_path / "onnx", transforms=noise)
    kept = recorded(OnnxTeacher(model), IMAGES.split.inputs, tmp_path / "answers.npz")
    with pytest.raises(SettingsError, match="teacher: its recorded answers are those to inputs as they are"):
        taught(kept, IMAGES.split, tmp_path / "once", transforms=noise)


class Counting(OnnxTeacher):
    """Counts the inputs that it is asked about."""

    asked = 0

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """What the file answers."""
        self.asked += len(inputs)
        return super().forward(inputs)


def test_answers_are_computed_once(model: Path, tmp_path: Path) -> None:
    """Not for another epoch, nor in another process; but for other inputs, and where the file of answers is damaged."""
    file, inputs = tmp_path / "answers.npz", IMAGES.split.inputs
    first, teacher = recorded(OnnxTeacher(model), inputs, file), Counting(model)
    assert torch.equal(first.answers, recorded(teacher, inputs, file).answers)
    assert 0 == teacher.asked
    recorded(teacher, inputs[:5], file)
    assert 5 == teacher.asked
    for number, damaged in enumerate((b"no numbers", b"", file.read_bytes()[:-9]), start=1):
        file.write_bytes(damaged)
        assert torch.equal(first.answers, recorded(teacher, inputs, file).answers)
        assert 5 + number * len(inputs) == teacher.asked


def test_recorded_answers_are_found_by_their_inputs(network: nn.Module) -> None:
    """In any order, as often as one likes."""
    inputs = IMAGES.split.inputs
    kept = Recorded(inputs, answers_of(network, inputs))
    chosen = [7, 3, 3, 31]
    with torch.inference_mode():
        assert torch.allclose(
            network(torch.from_numpy(inputs[chosen])), kept(torch.from_numpy(inputs[chosen])), atol=1e-5
        )


def test_students_learn_without_labels(teacher: Path, dataset: Dataset, tmp_path: Path) -> None:
    """From a file and images that nobody has labelled; from noise of their shape, next to nothing of those."""
    images = dataset.train.inputs[:400]
    seen = dataset.validation.inputs
    wanted = answers_of(OnnxTeacher(teacher), seen).argmax(axis=1)
    agreed = {}
    for name, inputs in {"images": images, "noise": drawn(tensors_in(teacher).inputs[0], len(images), seed=1)}.items():
        kept = recorded(OnnxTeacher(teacher), inputs, tmp_path / f"{name}.npz")
        split = labelled(Classification(), inputs, kept.answers.numpy())
        assert kept.answers.argmax(dim=1).tolist() == split.targets.tolist()
        student = build(ResNetConfig(widths=(16,), mean=0.3, deviation=0.37), 5)
        found = answers_of(taught(kept, split, tmp_path / name, student=student), seen)
        agreed[name] = float((found.argmax(axis=1) == wanted).mean())
    assert agreed["images"] > 0.4
    assert agreed["noise"] < agreed["images"] - 0.2


def test_the_other_inputs_of_a_decoder_are_its_state(tmp_path: Path) -> None:
    """A served decoder takes a cache, which begins with zeros: whole windows are answered as by the network."""
    kind = KINDS["tokens"]
    network, path = kind.network(DECODER, 1), tmp_path / "model.onnx"
    stepwise.export(network, kind.split.inputs, path)  # type: ignore[arg-type] # it is a Decoder
    found = OnnxTeacher(path)(kind.batch.inputs)
    with torch.inference_mode():
        assert torch.allclose(network(kind.batch.inputs), found, atol=1e-3)


def test_an_output_may_be_chosen(tmp_path: Path) -> None:
    """What says most is preferred to what comes first; one that there isn't is refused."""
    kind = KINDS["boxes"]
    detector, path = kind.network(kind.teacher, 1), tmp_path / "model.onnx"
    signature = Signature(inputs={"image": BATCH}, outputs={"heat": BATCH, "logits": BATCH})
    export(detector, [kind.split.inputs], path, signature)
    assert "logits" == OnnxTeacher(path).output
    assert (1, 2, 4, 4) == OnnxTeacher(path, output="heat")(kind.batch.inputs[:1]).shape
    with pytest.raises(SettingsError, match=r"model.onnx: has no output `heart`, did you mean `heat`\?"):
        OnnxTeacher(path, output="heart")


def test_inputs_that_a_file_does_not_take_are_refused(model: Path) -> None:
    """By their shape, and what the runtime says of it."""
    with pytest.raises(SettingsError, match=r"model.onnx: can't compute image \[2, 3, 8, 8\] \(.*Got: 3 Expected: 1"):
        OnnxTeacher(model)(torch.zeros((2, 3, 8, 8), dtype=torch.uint8))


def test_a_file_of_other_classes_is_refused(tmp_path: Path) -> None:
    """Its answers have another shape than the student's."""
    path = tmp_path / "model.onnx"
    export(Probabilities(build(ResNetConfig(widths=(8,), classes=4), 1)), [IMAGES.split.inputs], path)
    with pytest.raises(
        SettingsError, match=r"teacher: answers \[16, 4\], the student \[16, 3\]; classes or vocabulary"
    ):
        taught(OnnxTeacher(path), IMAGES.split, tmp_path / "student")


def test_a_file_shows_no_layers(model: Path) -> None:
    """Hints need the network itself."""
    settings = DistilSettings(fit=FIT, hints=(HintSettings(kind="features"),))
    student = build(IMAGES.student, 5)
    with pytest.raises(SettingsError, match="a network of kind OnnxTeacher doesn't tell its layers"):
        exercise(
            IMAGES.task,
            student=student,
            teacher=OnnxTeacher(model),
            settings=settings,
            inputs=IMAGES.split.inputs,
            seed=1,
        )


def test_answers_become_targets() -> None:
    """The likeliest class, tags where there are tokens, values and masks as they are."""
    images, ids = np.zeros((1, 1, 2, 2), np.uint8), np.array([[5, 6, 0]])
    logits = np.array([[0.1, 0.9]])
    assert [1] == labelled(Classification(), images, logits).targets.tolist()
    tokens = np.array([[[0.1, 0.9], [0.9, 0.1], [0.1, 0.9]]])
    assert [[1, 0, -100]] == labelled(Tagging(), ids, tokens).targets.tolist()
    assert [[1, 0, 1]] == labelled(NextToken(), ids, tokens).targets.tolist()
    assert np.float32 == labelled(Regression(), images, logits).targets.dtype
    mask = np.array([[[0, 1], [2, 1]]])
    assert mask.tolist() == labelled(Segmentation(), images, mask.astype(np.uint8)).targets.tolist()
    pixels = np.moveaxis(np.eye(3)[mask], -1, 1)
    assert mask.tolist() == labelled(Segmentation(), images, pixels).targets.tolist()
    assert [0] == labelled(Reconstruction(), images, images / 255).targets.tolist()


def test_boxes_that_a_teacher_is_sure_of_are_targets(tmp_path: Path) -> None:
    """As they are served; what is less likely is none, and the task takes what remains."""
    boxes = np.array([[[1, 0.9, 1, 2, 3, 4], [0, 0.2, 1, 2, 3, 4], [-1, 0, 0, 0, 0, 0]]], dtype=np.float32)
    found = labelled(Detection(), np.zeros((1, 1, 16, 16), np.uint8), boxes)
    assert [[[1, 1, 2, 3, 4], [-1, 0, 0, 0, 0], [-1, 0, 0, 0, 0]]] == found.targets.tolist()
    kind = KINDS["boxes"]
    network, path = kind.network(kind.teacher, 1), tmp_path / "model.onnx"
    assert isinstance(network, Detector)
    signature = Signature(inputs={"image": BATCH}, outputs={"boxes": BATCH})
    export(Boxes(network), [kind.split.inputs], path, signature)
    answers = open_model(path)({"image": kind.split.inputs})["boxes"]
    split = labelled(Detection(), kind.split.inputs, answers, least=0.0)
    batch = Batch(inputs=torch.from_numpy(split.inputs), targets=torch.from_numpy(split.targets))
    assert torch.isfinite(Detection()(network, batch).loss)


def test_inputs_are_drawn_where_there_are_none(model: Path) -> None:
    """As a seed decides: of the shape and within the range that are said."""
    (image,) = tensors_in(model).inputs
    found = drawn(image, 50, seed=1)
    assert (50, 1, 8, 8) == found.shape
    assert np.uint8 == found.dtype
    assert (0, 255) == (found.min(), found.max())
    assert np.array_equal(found, drawn(image, 50, seed=1))
    assert not np.array_equal(found, drawn(image, 50, seed=2))
    assert 7 == drawn(image, 50, seed=1, within=(7, 7)).min()


def test_ids_need_a_range(tmp_path: Path) -> None:
    """There may be any number of tokens."""
    path = tmp_path / "model.onnx"
    kind = KINDS["tokens"]
    stepwise.export(kind.network(DECODER, 1), kind.split.inputs, path)  # type: ignore[arg-type] # it is a Decoder
    ids, past, _ = tensors_in(path).inputs
    with pytest.raises(SettingsError, match="input_ids: says nothing of its range; name the lowest and the highest"):
        drawn(ids, 3, seed=1)
    found = drawn(ids, 300, seed=1, within=(1, 4))
    assert [1, 2, 3, 4] == np.unique(found).tolist()
    assert np.float32 == drawn(past, 1, seed=1, within=(-1, 1)).dtype
    assert abs(drawn(past, 1, seed=1)).max() > 1


def test_masks_are_served_as_such(tmp_path: Path) -> None:
    """A segmenter's file has classes and no logits, which are targets all the same."""
    kind, path = KINDS["masks"], tmp_path / "model.onnx"
    signature = Signature(inputs={"image": BATCH}, outputs={"mask": BATCH})
    export(Mask(kind.network(kind.teacher, 1)), [kind.split.inputs], path, signature)
    answers = answers_of(OnnxTeacher(path), kind.split.inputs)
    assert kind.split.targets.shape == labelled(kind.task, kind.split.inputs, answers).targets.shape
