"""A search on an image classifier's recipe: it begins with the family's teacher, and makes its own of it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from training import checkpoint
from training.compression.search.design import Design, Network
from training.data.split import Dataset
from training.export import INPUT, OUTPUT
from training.networks.resnet import ResNet, multiply_adds
from training.recipe import Recipe
from training.session import open_session
from training.specimens.images import ImageSpecimen
from training.steps.journal import Journal
from training.steps.routes import STUDENT


@pytest.fixture
def journal(story: Path, tmp_path: Path, recipe: Recipe, quiet: Console) -> Journal[Recipe]:
    shutil.copytree(story / "runs", tmp_path / "runs")
    return Journal(recipe, tmp_path / "runs", quiet)


@pytest.fixture
def specimen(journal: Journal[Recipe]) -> ImageSpecimen:
    return ImageSpecimen(journal)


def test_the_teacher_is_that_of_the_family(story: Path, journal: Journal[Recipe], specimen: ImageSpecimen) -> None:
    """It isn't taught again, and its file answers as the published one."""
    assert journal.times["teacher"].cached
    model = specimen.floating(Network())
    published = story / "models" / "digits-teacher" / "1" / "model.onnx"
    shown = specimen.requests("test")[INPUT]
    assert np.array_equal(open_session(published)(shown), open_session(model)(shown))
    assert "digits-teacher" == specimen.release(Design(), model).name


def test_a_student_has_the_shape_that_the_recipe_names(
    journal: Journal[Recipe], specimen: ImageSpecimen, recipe: Recipe
) -> None:
    """It is the first to be tried, at its own cost, with what the data decides as the teacher has it."""
    (named,) = recipe.compress.students
    cost = multiply_adds(named, recipe.data.size) / multiply_adds(recipe.network, recipe.data.size)
    (one,) = specimen.first
    assert STUDENT == one.route
    assert one.share == pytest.approx(cost, rel=0.25)
    specimen.floating(one)
    teacher, student = (
        checkpoint.load_network(journal.path(step, "network.safetensors"), ResNet).config
        for step in ("teacher", one.name)
    )
    assert named.widths == student.widths != teacher.widths
    assert (teacher.mean, teacher.deviation) == (student.mean, student.deviation)


def test_ranges_are_learnt_from_images_as_training_sees_them(specimen: ImageSpecimen, dataset: Dataset) -> None:
    """As many as the recipe says; none of them is a scan as it lies there."""
    shown = specimen.samples(Network())[INPUT]
    assert (64, *dataset.train.inputs.shape[1:]) == shown.shape
    scans = {scan.tobytes() for scan in dataset.train.inputs}
    assert not scans & {image.tobytes() for image in shown}


def test_a_score_is_the_share_that_is_right(specimen: ImageSpecimen, dataset: Dataset) -> None:
    """Of validation images; views of one scan count once where an interval is told."""
    right = np.eye(10)[dataset.validation.targets]
    right[: len(right) // 4] = 1 - right[: len(right) // 4]
    assert 1 - (len(right) // 4) / len(right) == specimen.score({OUTPUT: right}, {}, "validation")
    told = specimen.scores({OUTPUT: np.eye(10)[dataset.test.targets]}, {}).figures["accuracy"]
    assert (1.0, 1.0) == (told.value, told.high)
    assert told.low < 1
