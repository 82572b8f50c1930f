"""Triton's perf_analyzer measures a real server: over both doors, in each of its ways, and reads our statistics."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from tests.clients.perf_analyzer import Measured, PerfAnalyzer
from tests.integration.models import identity, summing
from tests.integration.served import Served, metric, serving, write_model
from tests.integration.test_sequences import SUM

TEXTS = """
max_batch_size: 8
input [ { name: "x" data_type: TYPE_STRING dims: [ 3 ] } ]
output [ { name: "y" data_type: TYPE_STRING dims: [ 3 ] } ]
"""
WINDOWS = ("--measurement-mode", "count_windows", "--measurement-request-count", "100", "-s", "999", "-r", "3")
ONCE = ("--request-count", "200")
DOORS = ("http", "grpc")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A perceptron, a model that sums a sequence up, and one that answers texts; clients may share memory."""
    root = tmp_path_factory.mktemp("models")
    write_model(root, "mlp")
    write_model(root, "texts", config=TEXTS, model=identity(TensorProto.STRING))
    write_model(root, "sum", config=SUM, model=summing())
    (root / "sum" / "initial_state").mkdir()
    (root / "sum" / "initial_state" / "hundred").write_bytes(np.array([100], np.float32).tobytes())
    with serving(root, "--allow-client-shm") as server:
        yield server


@pytest.fixture(scope="module")
def analyzer(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> PerfAnalyzer:
    """The program; where a library of the system is missing, the test fails and says which package has it."""
    try:
        return PerfAnalyzer(environment, tmp_path_factory.mktemp("tables"))
    except RuntimeError as error:
        pytest.fail(str(error))


def measure(analyzer: PerfAnalyzer, served: Served, door: str, model: str, *options: str) -> Measured:
    """What it says, after a look at what must hold for any measurement."""
    address = served.grpc if door == "grpc" else served.http.removeprefix("http://")
    before = metric(served, "hone_requests_total", model=model, protocol=door, outcome="ok")
    measured = analyzer.measure(model, address, "-i", door, *options)
    answered = metric(served, "hone_requests_total", model=model, protocol=door, outcome="ok") - before

    assert measured.columns["Inferences/Second"] > 0
    assert 0 < measured.count("Request count") <= answered
    assert 0 < measured.count("Successful request count") <= answered  # it asks when some are answered already
    assert metric(served, "hone_requests_total", outcome="ok") == metric(served, "hone_requests_total")
    check_split(measured)
    return measured


def check_split(measured: Measured) -> None:
    """The server's part of the time is there, phase by phase, and less than clients have waited. Outputs that a runtime
    writes where they stay are no phase of their own.
    """
    split = measured.server
    assert min(split["Queue"], split["Compute Input"], split["Compute Infer"]) > 0
    assert sum(split.values()) < measured.columns["p99 latency"]


@pytest.mark.parametrize("door", DOORS)
def test_a_closed_loop(analyzer: PerfAnalyzer, served: Served, door: str) -> None:
    """Four clients that wait for each answer: their requests share batches, and the counts agree."""
    measured = measure(analyzer, served, door, "mlp", *WINDOWS, "--concurrency-range", "4")

    assert 4 == measured.columns["Concurrency"]
    assert measured.count("Execution count") <= measured.count("Inference count")


@pytest.mark.parametrize("door", DOORS)
def test_an_open_loop(analyzer: PerfAnalyzer, served: Served, door: str) -> None:
    """Requests by a Poisson process, whoever is still waiting for an answer."""
    rate = ("--request-distribution", "poisson", "--request-rate-range", "200")
    measured = measure(analyzer, served, door, "mlp", *WINDOWS, *rate)

    assert 200 == measured.columns["Request Rate"]


@pytest.mark.parametrize("door", DOORS)
def test_rows_of_a_file_in_batches(analyzer: PerfAnalyzer, served: Served, door: str, tmp_path: Path) -> None:
    """Several rows a request, read from a file, asked for without a thread for each."""
    file = tmp_path / "rows.json"
    file.write_text(json.dumps({"data": [{"x": [0.5] * 64}]}))
    measured = measure(analyzer, served, door, "mlp", *ONCE, "-b", "4", "-a", "--input-data", str(file))

    assert measured.count("Successful request count") * 4 == measured.count("Inference count")


@pytest.mark.parametrize("door", DOORS)
def test_shared_memory(analyzer: PerfAnalyzer, served: Served, door: str) -> None:
    """Inputs and outputs stay in memory that the client has registered, and lets go of in the end."""
    measure(analyzer, served, door, "mlp", *ONCE, "--shared-memory", "system", "--concurrency-range", "2")


@pytest.mark.parametrize("door, stream", [("http", ()), ("grpc", ()), ("grpc", ("--streaming",))])
def test_sequences(analyzer: PerfAnalyzer, served: Served, door: str, stream: tuple[str, ...]) -> None:
    """Four sequences at a time, step by step, call by call or on streams; none is left open."""
    length = ("--sequence-length", "5", "--concurrency-range", "4", *stream)
    measured = measure(analyzer, served, door, "sum", *ONCE, *length)

    assert measured.count("Sequence count") > 0
    assert 0 == metric(served, "hone_sequences", model="sum")


def test_json_both_ways(analyzer: PerfAnalyzer, served: Served) -> None:
    """Tensors as JSON instead of binary data."""
    measure(analyzer, served, "http", "mlp", *ONCE, "--input-tensor-format", "json", "--output-tensor-format", "json")


@pytest.mark.parametrize("door", DOORS)
def test_texts(analyzer: PerfAnalyzer, served: Served, door: str) -> None:
    """BYTES at random; a worker writes their answers anew, so that the outputs take time too."""
    measured = measure(analyzer, served, door, "texts", *ONCE, "--string-length", "2000")

    assert measured.server["Compute Output"] > 0
