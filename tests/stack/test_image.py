"""What is in the image of the service, and what isn't."""

import pytest

from tests.stack.stack import Stack, docker

IMAGE = "hone-serve"
BASE = "python:3.11-slim-bookworm"
MOST_BYTES = 250_000_000
ABSENT = ("pip", "setuptools", "torch", "onnx", "training", "loadtests", "pytest", "locust")


def layers(image: str) -> int:
    """Bytes of all layers."""
    return sum(int(line) for line in docker("history", "--human=false", "--format", "{{.Size}}", image).split())


def test_layers_are_small(stack: Stack) -> None:
    """What the image adds to its base is at most 250 MB."""
    assert 0 < layers(IMAGE) - layers(BASE) <= MOST_BYTES


def test_serving_is_all_it_can_do(stack: Stack) -> None:
    """The image has no installer, training code, load test or torch."""
    program = f"from importlib.util import find_spec; print(*(name for name in {ABSENT!r} if find_spec(name)))"

    assert "" == stack.inside(program).strip()


def test_a_package_index_leaves_no_trace(stack: Stack) -> None:
    """Neither the image's history nor its environment tells where packages came from."""
    told = docker("history", "--no-trunc", IMAGE) + docker("inspect", "--format", "{{json .Config}}", IMAGE)

    assert [] == [name for name in ("INDEX_URL", "TRUSTED_HOST") if name in told]


@pytest.mark.parametrize("verb", ["check", "--version"])
def test_other_verbs_run(stack: Stack, verb: str) -> None:
    """The image takes every verb of the command, here over the models of the running container."""
    words = ("run", "--rm", "--no-deps", "hone", verb)

    assert 0 == stack.attempt(*words)[0]
