"""The peer's own environment: mosec with the runtime, numpy and JSON library that Hone is locked to."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

from loadtests.served import ROOT

MOSEC = "mosec==0.9.8"
SHARED = ("numpy", "onnxruntime", "orjson")


def prepare() -> Path:
    """The interpreter of an environment outside the repository that holds the peer; made once per set of versions."""
    requirements = [MOSEC, *_locked(SHARED)]
    digest = hashlib.sha256("\n".join([*requirements, sys.version]).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hone-bench"
    folder = cache / f"mosec-{digest}"
    done = folder / "installed"
    python = folder / "bin" / "python"
    if not done.exists():
        print(f"installing {MOSEC} into an environment of its own ...", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--quiet", *requirements], check=True)
        done.touch()
    return python


def _locked(names: tuple[str, ...]) -> list[str]:
    text = (ROOT / "constraints.txt").read_text()
    return [line for line in text.splitlines() if line.partition("==")[0] in names]
