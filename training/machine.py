"""The machine that figures are taken on: instruction set, cores and versions decide what they mean."""

import os
import platform
import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from service.artifact.card import Machine
from service.artifact.cpu import cpu_field, cpu_flags

TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES = ("numpy", "onnx", "onnxruntime", "openvino", "scikit-learn", "torch", "tritonclient")


@cache
def machine() -> Machine:
    """This machine, as a card describes it."""
    flags = cpu_flags()
    return Machine(
        architecture=platform.machine(),
        cpu=cpu_field("model name") or platform.processor() or "unknown",
        cores=len(os.sched_getaffinity(0)),
        cpu_flags=tuple(flag for flag in TELLING_FLAGS if flag in flags),
        versions={"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
    )


def current_commit() -> str | None:
    """The commit of the source tree, with `+` behind it where files differ from it; None outside a work tree."""
    folder = Path(__file__).parents[1]
    git = shutil.which("git")
    if git is None:
        return None
    commit = _output(git, folder, "rev-parse", "--short=12", "HEAD")
    changed = _output(git, folder, "status", "--porcelain", "--untracked-files=no", "--", "training", "service")
    return commit if not commit else commit + ("+" if changed else "")


def _output(git: str, folder: Path, *arguments: str) -> str | None:
    done = subprocess.run([git, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
