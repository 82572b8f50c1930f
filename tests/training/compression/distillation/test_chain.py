"""Chains of teachers: an assistant learns from the teacher, the student from the assistant."""

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.training.compression.distillation.kinds import KINDS
from training.compression.distillation.chain import ChainSettings, Taught, teach_chain
from training.compression.distillation.settings import DistilSettings, HintSettings
from training.data.batches import Batches
from training.fit import STATE
from training.networks.resnet import ResNetConfig, parameters
from training.optimization.settings import FitSettings

KIND = KINDS["images"]
HINTS = (HintSettings(kind="attention", weight=0.1),)
FIT = FitSettings(epochs=3, batch_size=16, learning_rate=0.01, watch=None)
SETTINGS = ChainSettings(distil=DistilSettings(fit=FIT, soft=1.0, hints=HINTS), shares=(0.5, 0.1))


def chain(folder: Path) -> tuple[Taught, ...]:
    return teach_chain(
        KIND.network(KIND.teacher, 1),
        SETTINGS.configs(KIND.teacher, parameters),
        task=KIND.task,
        settings=SETTINGS.distil,
        batches=Batches(KIND.split, size=16, transforms=(), seed=9),
        validation=KIND.split,
        folder=folder,
        console=Console(file=StringIO()),
    )


def test_each_is_smaller_than_the_one_before() -> None:
    """By the shares that are asked of the first teacher's cost."""
    config = ResNetConfig(widths=(96, 128), blocks=2)
    configs = ChainSettings(distil=SETTINGS.distil, shares=(0.5, 0.25)).configs(config, parameters)
    shares = [parameters(one) / parameters(config) for one in configs]
    assert shares == pytest.approx([0.5, 0.25], rel=0.2)


def test_a_student_learns_from_the_assistant(tmp_path: Path) -> None:
    """Of two, the second would be another one if the first had been."""
    assistant, student = chain(tmp_path / "one")
    assert [3, 3] == [len(one.fitted.epochs) for one in (assistant, student)]
    assert not student.network.training
    assert all(np.isfinite(one.train_loss) for one in student.fitted.epochs)
    again = chain(tmp_path / "two")[1]
    assert same(student, again)


def test_a_chain_goes_on_where_it_ended(tmp_path: Path) -> None:
    """What is finished isn't taught again, what was begun is finished, and the end is the same."""
    whole = chain(tmp_path)
    first = tmp_path / "1" / STATE
    written, content = first.stat().st_mtime_ns, first.read_bytes()
    (tmp_path / "2" / STATE).unlink()
    again = chain(tmp_path)
    assert same(whole[1], again[1])
    assert (written, content) == (first.stat().st_mtime_ns, first.read_bytes())


@pytest.mark.parametrize(
    "shares,told", [((), "there is at least one"), ((0.2, 0.4), "in descending order"), ((1,), "below 1")]
)
def test_shares_without_a_meaning_are_refused(shares: Any, told: str) -> None:
    """There is a student, and each is smaller than its teacher."""
    with pytest.raises(ValueError, match=f"shares: .*{told}"):
        ChainSettings(distil=SETTINGS.distil, shares=shares)


def same(first: Taught, second: Taught) -> bool:
    weights, others = first.network.state_dict(), second.network.state_dict()
    return all(torch.equal(value, others[name]) for name, value in weights.items())
