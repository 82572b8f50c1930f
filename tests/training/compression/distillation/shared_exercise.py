"""Exercises that several processes share, for `test_shared_exercise.py`, which starts this file by torchrun."""

import sys
from io import StringIO
from pathlib import Path

import torch
from rich.console import Console

from tests.training.compression.distillation.kinds import KINDS
from training import checkpoint
from training.compression.distillation.exercise import exercise
from training.compression.distillation.settings import DistilSettings, HintSettings
from training.data.batches import Batches
from training.fit import Fit
from training.networks.catalogue import build
from training.optimization.distributed import Ranks, joined
from training.optimization.settings import FitSettings

SHARED = {"rows": ("features",), "tags": ("features", "relations")}
FIT = FitSettings(epochs=2, batch_size=10, accumulate=2, learning_rate=0.01, optimizer="sgd", watch=None)


def run(folder: Path) -> None:
    """Teach a student of each kind; its weights are below `folder` afterwards."""
    torch.set_num_threads(1)
    for name, hints in SHARED.items():
        kind, student = KINDS[name], build(KINDS[name].student, 5)
        told = DistilSettings(fit=FIT, hints=tuple(HintSettings(kind=one) for one in hints))  # type: ignore[arg-type]
        (folder / name).mkdir(parents=True, exist_ok=True)
        given = exercise(
            kind.task,
            student=student,
            teacher=kind.network(kind.teacher, 1),
            settings=told,
            inputs=kind.split.inputs,
            seed=3,
        )
        batches = Batches(kind.split, size=10, transforms=(), seed=9)
        Fit(given.network, given.task, batches, kind.split, FIT).run(folder / name, Console(file=StringIO()))
        if Ranks().leads:
            checkpoint.write(folder / f"{name}.safetensors", given.network.state_dict(), {})


if __name__ == "__main__":
    with joined():
        run(Path(sys.argv[1]))
