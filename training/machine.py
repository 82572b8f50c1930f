"""The machine that figures are taken on: instruction set, cores and versions decide what they mean."""

import os
import platform
import shutil
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from service.artifact.card import Machine

CPU_INFO = Path("/proc/cpuinfo")
TELLING_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")
PACKAGES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "torch", "tritonclient")


@cache
def machine() -> Machine:
    """This machine, as a card describes it."""
    flags = cpu_flags()
    return Machine(
        architecture=platform.machine(),
        cpu=_cpu_field("model name") or platform.processor() or "unknown",
        cores=len(os.sched_getaffinity(0)),
        cpu_flags=tuple(flag for flag in TELLING_FLAGS if flag in flags),
        versions={"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
    )


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as the kernel names them; empty where it doesn't list them."""
    return frozenset((_cpu_field("flags") or "").split())


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


def _cpu_field(name: str) -> str | None:
    if not CPU_INFO.exists():
        return None
    for line in CPU_INFO.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
