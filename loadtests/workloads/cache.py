"""The workloads' ONNX files: made once per source and versions, kept in runs/bench."""

import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from loadtests.served import ROOT
from loadtests.workloads.workload import Workload

FOLDER = ROOT / "runs" / "bench"
MAKERS = ("onnx", "onnxscript", "torch", "transformers")
SOURCES = ("__main__.py", "half.py", "mlp.py", "networks.py")


def model_file(workload: Workload, folder: Path = FOLDER) -> Path:
    """The workload's file, made now if it isn't there. Its bytes depend on the sources and versions only."""
    path = folder / f"{workload.model}-{_digest(workload)}.onnx"
    if not path.exists():
        print(f"making the network of {workload.name} ...", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        # In a process of its own: the exporter's libraries keep threads and a gigabyte.
        command = [sys.executable, "-m", "loadtests.workloads", workload.name, str(path)]
        subprocess.run(command, cwd=ROOT, check=True)
    return path


def write_repository(root: Path, workload: Workload, folder: Path = FOLDER) -> Path:
    """A repository at `root` that holds only this model; returns the model file."""
    version = root / workload.model / "1"
    version.mkdir(parents=True)
    (root / workload.model / "config.pbtxt").write_text(workload.config())
    return Path(shutil.copy(model_file(workload, folder), version / "model.onnx"))


def _digest(workload: Workload) -> str:
    digest = hashlib.sha256(workload.name.encode())
    for name in SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    for name in MAKERS:
        digest.update(importlib.metadata.version(name).encode())
    return digest.hexdigest()[:12]
