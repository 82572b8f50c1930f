"""What a model takes: bytes on disk, and memory of a process that has only loaded and run it."""

import json
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.child import ROOT, bound
from training.errors import ServingError, one_line
from training.runtime import ONNX_RUNTIME, Runtime
from training.session import Tensors

LIMIT = 600.0
"""Seconds after which a model is taken to hang."""

CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Size:
    """Bytes of a file, and of the same by zlib at its best, which is what a zip archive makes of it."""

    stored: int
    zipped: int


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes of a process at most (`peak`), and how much of it came by loading and running the model (`own`)."""

    peak: int
    own: int


def size(model: Path) -> Size:
    """The bytes of the file `model`."""
    press, stored, zipped = zlib.compressobj(zlib.Z_BEST_COMPRESSION), 0, 0
    with model.open("rb") as file:
        while chunk := file.read(CHUNK):
            stored += len(chunk)
            zipped += len(press.compress(chunk))
    return Size(stored=stored, zipped=zipped + len(press.flush()))


def memory(model: Path, inputs: Tensors, *, runtime: Runtime = ONNX_RUNTIME, runs: int = 3, threads: int = 1) -> Memory:
    """What a process of its own takes that loads the file `model` by `runtime` and runs it on `inputs` [N, ...].

    Raises ServingError with what it said last, if it can't.
    """
    with tempfile.TemporaryDirectory() as scratch:
        samples = Path(scratch) / "inputs.npz"
        arrays: Any = dict(inputs)
        np.savez(samples, **arrays)
        module = "training.compression.evidence.memory_probe"
        of = f"{runtime.backend} {runtime.precision}"
        command = bound(module, str(model.resolve()), str(samples), str(runs), str(threads), of)
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT,
            )
        except subprocess.TimeoutExpired as error:
            raise ServingError(f"{model.name}: memory couldn't be measured ({one_line(error)})") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ServingError(f"{model.name}: memory couldn't be measured ({last[:500]})")
    return Memory(**json.loads(done.stdout))
