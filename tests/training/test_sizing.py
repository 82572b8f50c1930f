"""Whether network, problem and data go together: what doesn't is named before anything is learnt."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from service.errors import SettingsError
from training.data.batches import plain_batches
from training.data.material import Material
from training.data.split import Array, Dataset, Split
from training.metrics.retrieval import Episodes
from training.networks.catalogue import build
from training.networks.custom import CustomConfig
from training.networks.unet import UNetConfig
from training.problems.anomaly import Anomaly
from training.problems.classification import Classification
from training.problems.detection import Detection
from training.problems.forecasting import Forecasting
from training.problems.problem import Problem
from training.problems.regression import Regression
from training.problems.retrieval import Retrieval
from training.problems.segmentation import Segmentation
from training.problems.sizing import check_fit
from training.problems.tagging import Tagging

RANDOM = np.random.default_rng(1)
ROWS = RANDOM.normal(size=(60, 4)).astype(np.float32)
IDS = RANDOM.integers(1, 9, (60, 6))
PICTURES = RANDOM.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8)
LABELS = np.arange(60) % 3
CLASSES = ("a", "b", "c")


def material(inputs: Array, targets: Array, classes: Sequence[str] = CLASSES) -> Material:
    """Sixty inputs in three parts."""
    whole = Split(inputs=inputs, targets=targets, sources=np.arange(60))
    train, validation, test = (whole.take(np.arange(start, start + 20)) for start in (0, 20, 40))
    dataset = Dataset(train=train, validation=validation, test=test, classes=tuple(classes))
    return Material(dataset=dataset, vocabulary=9)


def answering(*shape: int) -> nn.Module:
    """A network that answers zeros of this shape for each input."""

    class Answering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = CustomConfig(function="torch.nn:Flatten")
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(inputs), *shape) + self.weight

    return Answering()


def check(problem: Any, network: nn.Module, found: Material) -> None:
    batch = next(plain_batches(found.dataset.validation, 2))
    checked: Problem = problem
    task = checked.task(checked.learns(), found)
    check_fit(network, task, batch, checked.answer(network, batch.inputs.numpy(), found))


MASKS = RANDOM.integers(0, 3, (60, 8, 8))
VALUES = RANDOM.normal(size=(60, 2)).astype(np.float32)
ANSWERS = {
    "classes": (Classification(), material(ROWS, LABELS), (3,), "a logit for each of 3 classes"),
    "values": (Regression(), material(ROWS, VALUES, ()), (2,), "2 values of each input"),
    "horizons": (Forecasting(), material(ROWS[..., None], VALUES, ()), (2,), "2 values of each input"),
    "tags": (Tagging(), material(IDS, IDS % 3), (6, 3), "for each token a logit for each of 3 tags"),
    "masks": (Segmentation(), material(PICTURES, MASKS), (3, 8, 8), "for each pixel a logit for each of 3 classes"),
    "pictures": (Anomaly(), material(PICTURES, 0 * LABELS), (1, 8, 8), "each picture again"),
}


@pytest.mark.parametrize("one", ANSWERS)
def test_an_answer_of_another_shape_is_told(one: str) -> None:
    """Fewer and more of what is wanted: what came, and what the data needs."""
    problem, found, right, text = ANSWERS[one]
    check(problem, answering(*right), found)
    for wrong in ((right[0] - 1, *right[1:]), (right[0] + 9, *right[1:]), (*right, 1), ()):
        with pytest.raises(SettingsError) as told:
            check(problem, answering(*wrong), found)
        came = f"it answers {[2, *wrong]}, and the data needs {[2, *right]}: {text}"
        assert str(told.value).startswith("network: one of kind `custom` doesn't fit inputs ")
        assert came in str(told.value)


def test_an_answer_that_is_no_tensor_is_told() -> None:
    """By its type."""
    network = answering(3)
    network.forward = lambda inputs: (inputs, inputs)
    problem, found, *_ = ANSWERS["classes"]
    with pytest.raises(SettingsError, match=r"it answers a tuple, and the data needs \[2, 3\]"):
        check(problem, network, found)


def test_boxes_are_made_by_a_detector_alone() -> None:
    """Which is said before a fit, and not when the network is served."""
    boxes = np.tile(np.array([0, 1, 1, 5, 5], np.float32), (60, 1, 1))
    with pytest.raises(SettingsError, match="made of one of kind `detector`, and this is another"):
        check(Detection(), build(UNetConfig(), 1), material(PICTURES, boxes))


LABELLED = r"so they are labels; this one needs"
UNFIT: dict[str, tuple[Any, Material, str]] = {
    "values to classify": (Classification(), material(ROWS, VALUES, ()), r"values; this one needs labels int64 \[N\]"),
    "tags to classify": (Classification(), material(IDS, IDS % 3), r"For tags, tagging is the problem"),
    "labels to tag": (Tagging(), material(IDS, LABELS), rf"{LABELLED} tags int64 \[N, T\]. For labels, classification"),
    "labels to foretell": (Regression(), material(ROWS, LABELS), "numbers that are to be foretold .* stored as floats"),
    "values to retrieve": (Retrieval(), material(ROWS, VALUES, ()), "values; this one needs labels"),
    "labels to segment": (Segmentation(), material(PICTURES, LABELS), rf"{LABELLED} masks int64 \[N, H, W\]"),
    "rows to rebuild": (Anomaly(), material(ROWS, 0 * LABELS), r"is for pictures .* inputs are float32 \[20, 4\]"),
    "one class": (Classification(), material(ROWS, 0 * LABELS, ("a",)), "one class of labels only"),
    "one class to rebuild": (Anomaly(), material(PICTURES, 0 * LABELS, ("a",)), "one class of labels only"),
    "constant": (Regression(), material(ROWS, 0 * VALUES, ()), "value 1 is 0 throughout the test part"),
    "ways": (Retrieval(), material(ROWS, LABELS), r"episodes\.ways: 5 are asked of 3 classes; ask for fewer"),
    "shots": (
        Retrieval(episodes=Episodes(ways=3, shots=5, queries=10)),
        material(ROWS, LABELS),
        r"episodes\.shots, queries: 5 and 10 are asked, and class 0 has 6 sources; ask for fewer",
    ),
}


@pytest.mark.parametrize("one", UNFIT)
def test_data_that_a_problem_cannot_use_are_told(one: str) -> None:
    """What they are, what is needed, and which problem they are for."""
    problem, found, text = UNFIT[one]
    with pytest.raises(SettingsError, match=f"^problem: .*{text}"):
        problem.decided(found)


SOUND: dict[str, Callable[[], object]] = {
    "ways": lambda: Retrieval(episodes=Episodes(ways=3, shots=2, queries=3)).decided(material(ROWS, LABELS)),
    "one output": lambda: Regression().decided(material(ROWS, VALUES[:, :1], ())),
}


@pytest.mark.parametrize("one", SOUND)
def test_what_is_just_enough_is_taken(one: str) -> None:
    """Six of a class for two and three; one value."""
    assert SOUND[one]()
