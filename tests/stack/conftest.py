"""One stack for all tests of this folder. `make test-stack` runs them; they need a Docker engine and docker-compose."""

import os
from collections.abc import Iterator

import pytest

from tests.stack.stack import Stack

NOBODY = "http://otel-collector:4318"
"""Where no collector runs: all that these tests see of Hone it does while its spans can't be delivered."""


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Built, started and healthy; whatever happens, its containers, network and volumes are removed."""
    stack = Stack(
        f"hone-stack-{os.getpid()}", LOCUST_SECONDS="3", HONE_OTLP_ENDPOINT=NOBODY, HONE_TRACE_SAMPLE_RATIO="1"
    )
    try:
        stack.compose("build", "hone", "locust", seconds=900)
        stack.up()
        yield stack
    finally:
        stack.remove()
