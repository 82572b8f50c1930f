"""Students in the one loop: they come nearer to their teachers, and a run in parts is the run as a whole."""

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from service.errors import SettingsError
from tests.training.compression.distillation.kinds import DECODER, ENCODER, KINDS, Kind
from training.compression.distillation.answers import apart
from training.compression.distillation.exercise import Exercise, exercise
from training.compression.distillation.settings import DistilSettings, HintSettings
from training.data.batches import Batch, Batches
from training.data.transforms.mixup import Mixup
from training.data.transforms.noise import Noise
from training.data.transforms.transform import Transform
from training.fit import STATE, Fit
from training.networks.catalogue import build
from training.networks.resnet import ResNetConfig
from training.optimization.settings import FitSettings
from training.tasks.segmentation import Segmentation
from training.tasks.task import Together
from training.tasks.variational import Variational

FIT = FitSettings(epochs=8, batch_size=16, learning_rate=0.01, watch=None)
FEATURES, ATTENTION, RELATIONS = (HintSettings(kind=one) for one in ("features", "attention", "relations"))
HINTS: dict[str, tuple[HintSettings, ...]] = {
    "images": (FEATURES, ATTENTION),
    "weighted": (ATTENTION,),
    "rows": (FEATURES,),
    "texts": (RELATIONS,),
    "tags": (FEATURES, RELATIONS),
    "read tags": (FEATURES,),
    "tokens": (FEATURES, RELATIONS),
    "values": (FEATURES,),
    "embeddings": (ATTENTION,),
    "boxes": (FEATURES, ATTENTION),
    "masks": (FEATURES,),
    "rebuilt": (FEATURES,),
}


def given(kind: Kind, settings: DistilSettings, *, student: nn.Module | None = None) -> tuple[nn.Module, Exercise]:
    student = student or build(kind.student, 5)
    teacher = kind.network(kind.teacher, 1)
    return student, exercise(
        kind.task, student=student, teacher=teacher, settings=settings, inputs=kind.split.inputs, seed=3
    )


def fit(
    kind: Kind,
    settings: DistilSettings,
    folder: Path,
    *,
    transforms: Sequence[Transform] = (),
    stop_after: int | None = None,
) -> nn.Module:
    folder.mkdir(parents=True, exist_ok=True)
    student, told = given(kind, settings)
    batches = Batches(kind.split, size=settings.fit.batch_size, transforms=transforms, seed=9)
    run = Fit(told.network, told.task, batches, kind.split, settings.fit)
    run.run(folder, Console(file=StringIO()), stop_after=stop_after)
    return student


def distance(kind: Kind, student: nn.Module) -> float:
    """How far a student's answers are from the teacher's."""
    with torch.inference_mode():
        found, wanted = (one(kind.batch.inputs) for one in (student.eval(), kind.network(kind.teacher, 1)))
        return float(apart(kind.task, found, wanted, kind.batch, 1.0))


@pytest.mark.parametrize("name", KINDS)
def test_a_student_comes_nearer_to_its_teacher(name: str, tmp_path: Path) -> None:
    """By its answers, than one that learns from labels alone."""
    kind = KINDS[name]
    taught = fit(kind, DistilSettings(fit=FIT, temperature=1.0, soft=1.0), tmp_path / "taught")
    alone = fit(kind, DistilSettings(fit=FIT, soft=0.0), tmp_path / "alone")
    assert distance(kind, taught) < 0.8 * distance(kind, alone)


@pytest.mark.parametrize("name", HINTS)
def test_a_student_takes_hints(name: str, tmp_path: Path) -> None:
    """Its layers come nearer to the teacher's, whichever hint is given, and it is itself afterwards."""
    kind = KINDS[name]
    settings = DistilSettings(fit=FIT, soft=0.0, hints=HINTS[name])
    student, before = given(kind, settings)
    weights = set(student.state_dict())
    start = hinted(before, kind)
    batches = Batches(kind.split, size=16, transforms=(), seed=9)
    Fit(before.network, before.task, batches, kind.split, FIT).run(tmp_path, Console(file=StringIO()))
    assert hinted(before, kind) < 0.9 * start
    assert weights == set(student.state_dict())


def hinted(told: Exercise, kind: Kind) -> float:
    """What hints add to the loss."""
    with torch.enable_grad():
        whole = told.task(told.network.eval(), kind.batch).loss
    with torch.no_grad():
        plain = told.task(told.network, kind.batch).loss
    return float(whole.detach() - plain)


@pytest.mark.parametrize("name", [name for name in HINTS if not isinstance(KINDS[name].task, Together)])
def test_parts_of_a_batch_teach_what_it_teaches_as_a_whole(name: str) -> None:
    """The loss is the mean over what it says, so that processes share batches, and steps are put together."""
    kind = KINDS[name]
    if isinstance(kind.task, Segmentation):  # Dice isn't a mean
        kind = replace(kind, task=Segmentation(dice=0.0))
    _, told = given(kind, DistilSettings(fit=FIT, soft=0.5, hints=HINTS[name]))
    network, whole = told.network.eval(), kind.batch
    parts = [Batch(inputs=whole.inputs[part], targets=whole.targets[part]) for part in (slice(0, 5), slice(5, None))]
    judged = [(told.task(network, part), part) for part in parts]
    total = sum(float(one.loss.detach()) * one.weight_of(part) for one, part in judged)
    weight = sum(one.weight_of(part) for one, part in judged)
    assert total / weight == pytest.approx(float(told.task(network, whole).loss.detach()), rel=1e-4)


@pytest.mark.parametrize("name,transforms", [("images", (Noise(deviation=0.1), Mixup(classes=3))), ("tokens", ())])
def test_a_run_in_parts_is_the_run_as_a_whole(name: str, transforms: Sequence[Transform], tmp_path: Path) -> None:
    """Projections are in the checkpoint too: the files are the same, byte for byte."""
    kind = KINDS[name]
    told = replace(FIT, epochs=4, batch_size=8, accumulate=3, average=0.5, watch="loss")
    settings = DistilSettings(fit=told, hints=HINTS[name])
    whole = fit(kind, settings, tmp_path / "whole", transforms=transforms)
    fit(kind, settings, tmp_path / "parts", transforms=transforms, stop_after=2)
    resumed = fit(kind, settings, tmp_path / "parts", transforms=transforms)
    assert (tmp_path / "whole" / STATE).read_bytes() == (tmp_path / "parts" / STATE).read_bytes()
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())


def test_a_teacher_is_asked_about_what_the_student_saw() -> None:
    """Images are rebuilt from noisy ones, and the teacher is shown the same noise."""

    class Noted(nn.Module):
        shown: torch.Tensor

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.shown = images
            return self.weight * images.float() / 255

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

    kind = KINDS["rebuilt"]
    student, teacher = Noted(), Noted()
    task = replace(kind.task, noise=0.2)  # type: ignore[type-var]
    settings = DistilSettings(fit=FIT)
    told = exercise(task, student=student, teacher=teacher, settings=settings, inputs=kind.split.inputs, seed=1)
    told.task(told.network, kind.batch)
    assert torch.equal(student.shown, teacher.shown)
    assert not torch.equal(student.shown, kind.batch.inputs)


def test_a_teacher_for_other_data_is_refused() -> None:
    """Before anything is learnt: its classes or its vocabulary are others."""
    kind = KINDS["images"]
    settings = DistilSettings(fit=FIT)
    with pytest.raises(SettingsError, match="task: Variational can't be learnt from a teacher"):
        given(replace(kind, task=Variational()), settings)
    with pytest.raises(SettingsError, match="teacher: its classes is 3, the student's 4; both have to be made for"):
        given(kind, settings, student=build(ResNetConfig(classes=4), 1))
    kind = KINDS["tokens"]
    with pytest.raises(SettingsError, match="teacher: its vocabulary is 20, the student's 21"):
        given(kind, settings, student=build(replace(DECODER, vocabulary=21), 1))


def test_hints_that_can_not_be_had_are_refused() -> None:
    """Before anything is learnt: layers that aren't there, and hints that networks of this kind don't give."""
    named = replace(FEATURES, layers={"stages.0": "stages.7"})
    with pytest.raises(SettingsError, match=r"the teacher has no layer `stages.7`, did you mean `stages.\d`"):
        given(KINDS["images"], DistilSettings(fit=FIT, hints=(named,)))
    with pytest.raises(SettingsError, match="relations are those of a transformer's tokens, and this is a network of"):
        given(KINDS["images"], DistilSettings(fit=FIT, hints=(RELATIONS,)))
    with pytest.raises(SettingsError, match=r"rows \[2, 8\] have no places to attend to"):
        given(KINDS["rows"], DistilSettings(fit=FIT, hints=(ATTENTION,)))
    student = build(replace(ENCODER, head="tokens", vocabulary=20, classes=20, length=12), 1)
    with pytest.raises(SettingsError, match="an encoder's tokens see each other otherwise than a decoder's"):
        given(KINDS["tokens"], DistilSettings(fit=FIT, hints=(RELATIONS,)), student=student)


def test_settings_without_a_meaning_are_refused() -> None:
    """A hint that weighs nothing, and one of layers that a compiler has made disappear."""
    with pytest.raises(ValueError, match="weight: must be positive; leave the hint out instead"):
        HintSettings(kind="features", weight=0.0)
    with pytest.raises(ValueError, match="hints: a compiled network doesn't show its layers; set fit"):
        DistilSettings(fit=replace(FIT, acceleration="both"), hints=(FEATURES,))


def test_named_layers_are_those_that_are_compared(tmp_path: Path) -> None:
    """A student's first layer may be like any of the teacher's."""
    settings = DistilSettings(fit=FIT, hints=(replace(FEATURES, layers={"stages.0": "stages.3"}),))
    _, told = given(KINDS["images"], settings)
    assert 8 * 32 + 32 == sum(one.numel() for name, one in told.network.named_parameters() if "projections" in name)
    assert np.isfinite(float(told.task(told.network, KINDS["images"].batch).loss.detach()))
