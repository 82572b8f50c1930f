"""One stack for all tests of this folder. `make test-stack` runs them; they need a Docker engine and docker-compose."""

import os
from collections.abc import Iterator

import pytest

from tests.stack.stack import Stack


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Built, started and healthy; whatever happens, its containers, network and volume are removed."""
    stack = Stack(f"hone-stack-{os.getpid()}")
    try:
        stack.compose("build", seconds=900)
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans", seconds=120)
