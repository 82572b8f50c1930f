"""The models that are compressed, with random weights by seed, and what is asked of each."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loadtests.compression.target import Target
from loadtests.served import ROOT
from loadtests.workloads.cache import model_file
from loadtests.workloads.catalogue import W1, W3, W4
from loadtests.workloads.workload import DTYPES, Workload

STEPS, FEATURES = 32, 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A model with one input. `write` makes its float ONNX file at a path, `draw` gives one input [1, ...] a call.

    `samples` inputs are what quantization learns ranges from.
    """

    name: str
    title: str
    input: str
    write: Callable[[Path], None]
    draw: Callable[[np.random.Generator], NDArray[Any]]
    samples: int
    targets: tuple[Target, ...] = ()

    def rows(self, count: int, seed: int) -> NDArray[Any]:
        """So many inputs [count, ...]; another seed gives others."""
        random = np.random.default_rng(seed)
        return np.concatenate([self.draw(random) for _ in range(count)])


def _of_workload(name: str, workload: Workload, samples: int, *targets: Target) -> Subject:
    def write(path: Path) -> None:
        shutil.copy(model_file(workload), path)

    dtype = DTYPES[workload.input.datatype]
    return Subject(
        name=name,
        title=workload.title.partition(", JSON")[0].partition(", 602 KB")[0],
        input=workload.input.name,
        write=write,
        draw=lambda random: workload.values(random).astype(dtype),
        samples=samples,
        targets=targets,
    )


def _recurrent(cell: Literal["lstm", "gru"], width: int, *targets: Target) -> Subject:
    def write(path: Path) -> None:
        command = [sys.executable, "-m", "loadtests.compression.recurrent", cell, str(width), str(path)]
        subprocess.run(command, cwd=ROOT, check=True)

    return Subject(
        name=cell,
        title=f"{cell.upper()} of {width}, {STEPS} steps of {FEATURES}",
        input="windows",
        write=write,
        draw=lambda random: random.standard_normal((1, STEPS, FEATURES), np.float32),
        samples=64,
        targets=targets,
    )


SUBJECTS = {
    one.name: one
    for one in (
        _of_workload(
            "resnet18",
            W4,
            32,
            Target(numbers="INT8", batch=8, faster=2.9),
            Target(numbers="bf16", batch=8, faster=1.9, error=0.01),
        ),
        _of_workload(
            "encoder",
            W3,
            64,
            Target(numbers="INT8", batch=8, faster=2.4),
            Target(numbers="bf16", batch=8, faster=1.9, error=0.01),
        ),
        _recurrent("lstm", 256, Target(numbers="INT8", batch=16, faster=2.0)),
        _recurrent("gru", 256, Target(numbers="bf16", batch=16, faster=1.5)),
        _of_workload("mlp", W1, 64),
    )
}
"""By name. Sizes are those that the targets were set for."""
