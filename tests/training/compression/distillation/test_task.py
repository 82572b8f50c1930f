"""Distillation: a student learns from a teacher's softened answers, which stays as it is."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from torch import nn

from training.compression.distillation.exercise import exercise
from training.compression.distillation.settings import DistilSettings
from training.compression.distillation.task import Distillation
from training.data.batches import Batch, Batches, plain_batches
from training.data.split import Dataset
from training.data.transforms.jitter import Jitter
from training.fit import Fit
from training.networks.resnet import ResNet, ResNetConfig, build
from training.optimization.settings import FitSettings
from training.tasks.classification import Classification

FIT = FitSettings(epochs=1)


@dataclass
class Fixed(nn.Module):
    """Answers with these logits, whatever it is shown."""

    logits: torch.Tensor

    def __post_init__(self) -> None:
        super().__init__()
        self.logits = nn.Parameter(self.logits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The logits [N, classes]."""
        return self.logits


def logits(seed: int, *, size: float = 3.0) -> torch.Tensor:
    return torch.randn((5, 10), generator=torch.Generator().manual_seed(seed)) * size


def batch_of(labels: list[int]) -> Batch:
    return Batch(inputs=torch.zeros((len(labels), 1, 8, 8), dtype=torch.uint8), targets=torch.tensor(labels))


BATCH = batch_of([3, 1, 4, 1, 5])


def softmax(values: torch.Tensor) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    raised = np.exp(values.double().numpy())
    found: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = raised / raised.sum(axis=1, keepdims=True)
    return found


@given(seed=st.integers(0, 1000), temperature=st.floats(0.5, 20), soft=st.floats(0, 1))
def test_the_loss_is_that_of_the_paper(seed: int, temperature: float, soft: float) -> None:
    """T^2 times the divergence of softened answers, and the cross entropy, weighted: worked out by hand."""
    teacher, student = logits(seed), logits(seed + 1)
    wanted, found = softmax(teacher / temperature), softmax(student / temperature)
    divergence = (wanted * np.log(wanted / found)).sum(axis=1).mean()
    labelled = -np.log(softmax(student)[range(5), BATCH.targets]).mean()
    expected = soft * temperature**2 * divergence + (1 - soft) * labelled

    task = Distillation(task=Classification(), teacher=Fixed(teacher), temperature=temperature, soft=soft)
    assert expected == pytest.approx(task(Fixed(student), BATCH).loss.item(), rel=1e-3, abs=1e-4)


def test_an_equal_answer_has_nothing_to_learn() -> None:
    """A student that answers as its teacher has no loss and no gradient from it."""
    student = Fixed(logits(1))
    loss = Distillation(task=Classification(), teacher=Fixed(logits(1)), temperature=4, soft=1)(student, BATCH).loss
    loss.backward()  # type: ignore[no-untyped-call]
    assert 0 == pytest.approx(loss.item(), abs=1e-6)
    assert student.logits.grad is not None
    assert student.logits.grad.abs().max() < 1e-6


def test_without_soft_answers_it_is_plain_classification() -> None:
    """At weight 0 loss and metrics are those of the labels alone."""
    student = Fixed(logits(1))
    distilled = Distillation(task=Classification(), teacher=Fixed(logits(2)), temperature=4, soft=0)(student, BATCH)
    plain = Classification()(student, BATCH)
    assert plain.loss.item() == pytest.approx(distilled.loss.item())
    assert plain.metrics == distilled.metrics


def test_metrics_are_those_of_the_labels_at_any_weight() -> None:
    """What is reported compares a student with its teacher: accuracy and cross entropy, not the task's own loss."""
    student = Fixed(logits(1))
    distilled = Distillation(task=Classification(), teacher=Fixed(logits(2)), temperature=9, soft=1)(student, BATCH)
    assert Classification()(student, BATCH).metrics == distilled.metrics


@pytest.mark.parametrize("temperature", [2.0, 4.0, 8.0, 16.0])
def test_the_gradient_is_as_large_at_any_temperature(temperature: float) -> None:
    """The factor T^2 keeps soft answers from losing their weight: the gradient changes by less than a factor of 2."""

    def gradient(degree: float) -> float:
        student = Fixed(logits(1, size=0.5))
        task = Distillation(task=Classification(), teacher=Fixed(logits(2, size=0.5)), temperature=degree, soft=1)
        task(student, BATCH).loss.backward()  # type: ignore[no-untyped-call]
        assert student.logits.grad is not None
        return float(student.logits.grad.norm())

    assert 0.5 < gradient(temperature) / gradient(1.0) < 2


def test_a_teacher_never_changes(dataset: Dataset, trained: ResNet, tmp_path: Path, quiet: Console) -> None:
    """An epoch of distillation leaves the teacher's weights and statistics bit by bit, and gives it no gradient."""
    teacher = copy.deepcopy(trained)
    teacher.zero_grad(set_to_none=True)
    student = build(ResNetConfig(widths=(8,), mean=0.3, deviation=0.37), seed=1)
    start = copy.deepcopy(student.state_dict())
    given = exercise(
        Classification(),
        student=student,
        teacher=teacher,
        settings=DistilSettings(fit=FIT),
        inputs=dataset.train.inputs,
        seed=1,
    )
    batches = Batches(dataset.train, size=64, transforms=[Jitter(rotation=5)], seed=1)
    Fit(given.network, given.task, batches, dataset.validation, FIT).run(tmp_path, quiet)

    assert all(torch.equal(value, teacher.state_dict()[name]) for name, value in trained.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not teacher.training
    assert not torch.equal(start["head.weight"], student.state_dict()["head.weight"])


@pytest.mark.parametrize("wrong", [{"temperature": 0.0}, {"soft": 1.1}, {"soft": -0.1}])
def test_settings_without_a_meaning_are_refused(wrong: dict[str, Any]) -> None:
    """A temperature must be positive, a weight a share."""
    with pytest.raises(ValueError, match="temperature: must be positive; soft: must be a share"):
        DistilSettings(**{"fit": FIT, **wrong})


def test_an_assessment_does_not_ask_the_teacher(dataset: Dataset) -> None:
    """Where no gradient is wanted only the metrics count, and those are the student's and the labels'."""

    class Absent(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise AssertionError

    batch = next(iter(plain_batches(dataset.validation, 16)))
    network = build(ResNetConfig(widths=(16,)), seed=1).eval()
    task = Distillation(task=Classification(), teacher=Absent(), temperature=4.0, soft=0.9)
    with torch.inference_mode():
        assert Classification()(network, batch).metrics == task(network, batch).metrics
