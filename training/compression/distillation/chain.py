"""Chains: who is much smaller than the teacher learns from one in between, which has learnt from the teacher.

Whether that helps has to be tried. Small students of `digits-cnn` had a lower validation loss by an assistant than by
labels, a lower one by the teacher, and the lowest by the teacher with hints (measured once, over seeds).

Source: S. Mirzadeh et al., "Improved Knowledge Distillation via Teacher Assistant", AAAI 2020, arXiv 1902.03393.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from training.compression.distillation.exercise import exercise
from training.compression.distillation.settings import DistilSettings
from training.compression.distillation.student import inherit, student_of
from training.data.batches import Epochs
from training.data.split import Split
from training.fit import Fit
from training.fitted import Fitted
from training.networks.catalogue import build
from training.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class ChainSettings:
    """`shares` of the teacher's cost, the largest first: those of assistants, and at last that of the student.

    Each is taught by the one before it, as `distil` says.
    """

    distil: DistilSettings
    shares: tuple[float, ...] = (0.5, 0.25)

    def __post_init__(self) -> None:
        if not self.shares or not all(0 < share < 1 for share in self.shares):
            raise ValueError("shares: there is at least one, and all are above 0 and below 1")
        if list(self.shares) != sorted(set(self.shares), reverse=True):
            raise ValueError("shares: must be in descending order")

    def configs(self, config: Any, cost: Callable[[Any], float]) -> tuple[Any, ...]:
        """The configs of assistants and student of a teacher with `config`. Raises SettingsError."""
        return tuple(student_of(config, share, cost) for share in self.shares)


@dataclass(frozen=True, kw_only=True)
class Taught:
    """A network that has learnt from the one before it, in evaluation mode, and how that went."""

    network: nn.Module
    fitted: Fitted


def teach(
    student: nn.Module,
    teacher: nn.Module,
    *,
    task: Task,
    settings: DistilSettings,
    batches: Epochs,
    validation: Split,
    folder: Path,
    console: Console,
) -> Taught:
    """One distillation in `folder`, which is made; interrupted, it goes on from there.

    Raises SettingsError, Diverged and Damaged as `exercise` and `Fit` do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = exercise(
        task, student=student, teacher=teacher, settings=settings, inputs=validation.inputs, seed=batches.seed
    )
    fitted = Fit(given.network, given.task, batches, validation, settings.fit).run(folder, console)
    return Taught(network=student.eval(), fitted=fitted)


def teach_chain(
    teacher: nn.Module,
    configs: Sequence[Any],
    *,
    task: Task,
    settings: DistilSettings,
    batches: Epochs,
    validation: Split,
    folder: Path,
    console: Console,
) -> tuple[Taught, ...]:
    """A network of each of `configs`, taught by the one before it, the first by `teacher`, in a folder of its number.

    Each begins with what it can take over of its teacher. What is finished isn't taught again.
    """
    taught: list[Taught] = []
    for number, config in enumerate(configs, start=1):
        above = taught[-1].network if taught else teacher
        student = build(config, seed=batches.seed + number)
        inherit(student, above)
        taught.append(
            teach(
                student,
                above,
                task=task,
                settings=settings,
                batches=batches,
                validation=validation,
                folder=folder / str(number),
                console=console,
            )
        )
    return tuple(taught)
