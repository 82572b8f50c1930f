"""The barest servers that a lone request is compared with, and the table that they make."""

import sys

import pytest

from loadtests import bench_lone
from loadtests.lone_floor.relay import LAYERS
from loadtests.one_connection import OneConnection
from loadtests.served import free_port, serving
from loadtests.workloads.cache import model_file
from loadtests.workloads.catalogue import W1


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_answers_every_request(layer: str) -> None:
    """With or without another process behind it, in whatever pieces a request comes."""
    model_file(W1)
    port = free_port()
    command = [sys.executable, "-m", "loadtests.lone_floor.relay", str(port), layer, "W1"]
    with serving(command, port=port, ready="/") as served, OneConnection(served.url, W1.request()) as client:
        answers = {client.timed()[1] for _ in range(20)}

    assert answers == {b" " * 256}


def test_a_layer_is_told_by_what_it_adds() -> None:
    """Differences are those of one turn, so that a slow one doesn't pass for a layer."""
    found = {
        bench_lone.RUN: [0.03, 0.03, 0.03],
        "answer": [0.1, 0.1, 0.9],
        "hop": [0.2, 0.2, 1.0],
        "run": [0.25, 0.25, 1.05],
        "hone": [0.5, 0.4, 1.3],
    }

    text = bench_lone.section({"W1": found})

    assert "medians of 3 turns" in text
    assert "| one that asks a worker process first | 0.200 | +0.100 [+0.100 to +0.100] | 20% |" in text
    assert "| Hone | 0.500 | +0.250 [+0.150 to +0.250] | 50% |" in text
