"""The environment in which clients that aren't ours are installed. `make test` makes it."""

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="session")
def environment() -> Path:
    """Its folder. Where it is missing or not whole, the test fails and says how to make it: nothing is skipped."""
    folder = Path(os.environ.get("CLIENTS_VENV", ".venv-clients"))
    absolute = ROOT / folder
    if not (absolute / ".stamp").exists():
        pytest.fail(
            f"{folder} isn't there, or not whole: `make test` installs other clients into it and runs these tests"
        )
    return absolute
