"""One real tritonserver for all tests of this folder, and a Hone in front of it. `make test-triton` runs them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.served import Served, serving
from tests.triton.tritonserver import TritonServer, tritonserver


@pytest.fixture(scope="session")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Started, with all models ready."""
    with tritonserver(tmp_path_factory.mktemp("triton")) as server:
        yield server


@pytest.fixture(scope="session")
def repository(triton: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hone's: nothing but a config that names the remote for each of its models."""
    root = tmp_path_factory.mktemp("models")
    for model in sorted(folder.name for folder in triton.repository.iterdir()):
        (root / model).mkdir()
        config = 'parameters { key: "hone.remote" value { string_value: "real" } }\n'
        (root / model / "config.pbtxt").write_text(config)
    return root


@pytest.fixture(scope="session")
def hone(triton: TritonServer, repository: Path) -> Iterator[Served]:
    """A Hone that passes everything through to it."""
    with serving(repository, "--remote", f"real={triton.address}") as served:
        yield served
