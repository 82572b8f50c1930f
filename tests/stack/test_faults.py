"""What `make up` says when the stack can't be started."""

import os
import socket
from collections.abc import Iterator

import pytest

from tests.stack.stack import Stack, docker

BASE = "python:3.11-slim-bookworm"


@pytest.fixture
def other() -> Iterator[Stack]:
    """A project in which nothing runs yet."""
    stack = Stack(f"hone-fault-{os.getpid()}")
    try:
        yield stack
    finally:
        stack.remove()


def test_a_taken_port_is_named(other: Stack) -> None:
    """The port, and the variables that choose another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        code, said = other.told(ALERTMANAGER_PORT=port).attempt_up("alertmanager")

    assert 1 == code
    assert f"127.0.0.1:{port}" in said
    assert "That port is taken" in said.splitlines()[-1]
    assert "ALERTMANAGER_PORT" in said.splitlines()[-1]


def test_a_volume_that_cant_be_written_is_told_of(other: Stack) -> None:
    """The service, its own words, and how to be rid of the volume."""
    volume = f"{other.project}_prometheus"
    claim = "touch /there/something && chown root:root /there && chmod 755 /there"
    docker("volume", "create", volume)
    docker("run", "--rm", "--volume", f"{volume}:/there", BASE, "sh", "-c", claim)

    code, said = other.attempt_up("prometheus")

    assert 1 == code
    assert "prometheus ended" in said
    assert "permission denied" in said
    assert "docker volume rm" in said.splitlines()[-1]


def test_a_repository_that_isnt_there_is_told_of(other: Stack) -> None:
    """A folder of models that doesn't exist isn't made, but named."""
    code, said = other.told(HONE_MODEL_REPOSITORY="./nowhere").attempt_up("hone")

    assert 1 == code
    assert "nowhere" in said
    assert "HONE_MODEL_REPOSITORY" in said.splitlines()[-1]
