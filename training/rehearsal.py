"""Files that end the process which computes them, found out by one that may end.

A runtime's fault in a file that was just made would otherwise take along all that a search has still to do.
"""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from service.errors import ArtifactError
from training.child import ROOT, bound
from training.session import Tensors, open_model

LIMIT = 600.0
"""Seconds after which files are taken to hang."""


def fatal(models: Sequence[Path], inputs: Tensors) -> dict[Path, str]:
    """Those of the files whose loading or computing `inputs` [N, ...] ends the process, and how it ended.

    What merely fails is none of them: who asks for it hears why.
    """
    found: dict[Path, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        samples = Path(scratch) / "inputs.npz"
        arrays: Any = dict(inputs)
        np.savez(samples, **arrays)
        left = list(models)
        while left:
            survived, end = _attempt(samples, left)
            if survived == len(left):
                break
            found[left[survived]] = f"{end} when it loads or computes it"
            left = left[survived + 1 :]
    return found


def check_survived(model: Path, inputs: Tensors) -> None:
    """Raise ArtifactError if the file ends the process that loads it and computes `inputs` [N, ...]."""
    if how := fatal([model], inputs).get(model):
        text = f"ONNX Runtime {how}, which is a fault of the runtime; export the model otherwise, as float32 or newer"
        raise ArtifactError(f"{model.name}: {text}")


def _attempt(samples: Path, models: Sequence[Path]) -> tuple[int, str]:
    """How many of the files were survived, one after the other, and what ended the process."""
    command = bound("training.rehearsal", str(samples), *(str(model.resolve()) for model in models))
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=LIMIT
        )
    except subprocess.TimeoutExpired as error:
        return len(error.stdout or b""), f"takes more than {LIMIT:.0f} s"
    code = done.returncode
    end = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return len(done.stdout), f"ends its process ({end})"


def main(samples: str, *models: str) -> None:
    """Load and compute each file, and write a dot when that is survived."""
    with np.load(samples, allow_pickle=False) as file:
        inputs = {name: file[name] for name in file.files}
    for model in models:
        with suppress(Exception):  # whoever asks for the file hears of it
            open_model(Path(model))(inputs)
        sys.stdout.write(".")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
