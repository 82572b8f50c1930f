"""Loads a model, runs it, and says what memory that took: a program, started by `footprint`.

The kernel's high-water mark of this program's own memory is what counts (`VmHWM`, see proc(5)): `ru_maxrss` would begin
with that of the process which started it.
"""

import json
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np

from service.artifact.parameters import Precision
from training.durable import naming
from training.runtime import Runtime
from training.session import open_model

_OWN = Path("/proc/self")
_FORGET = "5"
"""Written to `clear_refs`, it makes the high-water mark begin anew."""


def main(model: str, samples: str, runs: str, threads: str, runtime: str) -> None:
    """Print peak and own bytes as JSON; `runtime` is a backend and a precision, with a space between."""
    backend, precision = runtime.split()
    with np.load(samples, allow_pickle=False) as file:
        inputs = {name: file[name] for name in file.files}
    import_module(backend)  # its code isn't the model's
    with suppress(OSError), naming(_OWN):
        (_OWN / "clear_refs").write_text(_FORGET)
    before = _bytes("VmRSS")
    run = open_model(
        Path(model), threads=int(threads), runtime=Runtime(backend=backend, precision=cast("Precision", precision))
    )
    for _ in range(int(runs)):
        run(inputs)
    peak = _bytes("VmHWM")
    sys.stdout.write(json.dumps({"peak": peak, "own": max(peak - before, 0)}))


def _bytes(field: str) -> int:
    for line in (_OWN / "status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"the kernel doesn't say {field}")


if __name__ == "__main__":
    main(*sys.argv[1:])
