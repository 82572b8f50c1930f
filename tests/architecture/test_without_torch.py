"""The service by itself, as somebody installs it who never trains."""

import json
import os
import shutil
import subprocess
import urllib.request
import venv
from pathlib import Path
from typing import Any

import pytest

from loadtests.served import free_port, serving
from tests.architecture.sources import ROOT

SOURCES = ("service", "training", "pyproject.toml", "README.md", "LICENSE")
ABSENT = ("torch", "onnx", "sklearn", "pytest", "locust")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a fresh environment that holds the distribution with its cpu extra, and nothing else."""
    checkout = tmp_path / "checkout"  # a copy, because building leaves files beside the sources
    checkout.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, checkout / name)
    venv.create(tmp_path / "venv", with_pip=True)
    interpreter = tmp_path / "venv" / "bin" / "python"
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    command = [str(interpreter), "-m", "pip", "install", "--quiet", *constraints, f"{checkout}[cpu]"]
    subprocess.run(command, check=True, cwd=tmp_path)
    return interpreter


@pytest.mark.slow
def test_service_installs_and_predicts_without_torch(python: Path, tmp_path: Path) -> None:
    """Installed outside the checkout and without torch, the service loads the committed models and answers."""
    probe = f"from importlib.util import find_spec; print([n for n in {ABSENT!r} if find_spec(n)])"
    found = subprocess.run([python, "-c", probe], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert found.strip() == "[]"

    port = free_port()
    ports = ["--http-port", str(port), "--grpc-port", "0", "--metrics-port", str(free_port())]
    flags = ["--model-repository", str(ROOT / "models"), *ports]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HONE_", "PYTHON"))}
    command = ["env", "-C", str(tmp_path), str(python), "-m", "service", "run", *flags]
    with serving(command, port=port, ready="/v2/health/ready", environment=environment) as served:
        url = f"{served.url}/v2/models/digits"
        described = _ask(url)
        tensor = described["inputs"][0]
        shape = [1, *tensor["shape"][1:]]
        data = [0] * (shape[1] * shape[2] * shape[3])
        inputs = [{"name": tensor["name"], "shape": shape, "datatype": tensor["datatype"], "data": data}]
        (output,) = _ask(f"{url}/infer", {"inputs": inputs})["outputs"]

    assert [1, 10] == output["shape"]
    assert sum(output["data"]) == pytest.approx(1, abs=1e-3)


def _ask(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data=data, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found
