"""What a process has loaded when it starts: import contracts can't see what a package's __init__ pulls in."""

import subprocess
import sys

import pytest

from tests.architecture.sources import ROOT

NOT_IN_A_WORKER = (
    "asyncio",
    "fastapi",
    "grpc",
    "prometheus_client",
    "pydantic",
    "starlette",
    "tritonclient",
    "uvicorn",
)


def loaded(statement: str, names: tuple[str, ...]) -> list[str]:
    """Which of `names` are in memory after a fresh interpreter has run `statement`."""
    program = f"{statement}\nimport sys\nprint(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize("module", ["service.workers.main", "service.backends.onnxruntime"])
def test_worker_is_small(module: str) -> None:
    """A worker process loads neither an event loop nor any web framework, grpc or protobuf stubs."""
    assert [] == loaded(f"import {module}", NOT_IN_A_WORKER)


def test_service_needs_no_torch() -> None:
    """The server process loads neither torch nor training."""
    assert [] == loaded("import service.server, service.__main__", ("torch", "training", "onnx", "sklearn"))
