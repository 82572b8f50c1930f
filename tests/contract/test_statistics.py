"""The statistics extension, by NVIDIA's clients on all entrances."""

from collections.abc import Iterator

import pytest
from tritonclient import grpc as triton_grpc
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.contract.live import Live
from tests.contract.live_grpc import serve_grpc

PHASES = ("compute_input", "compute_infer", "compute_output")


@pytest.fixture
def client(server: Live) -> Iterator[triton.InferenceServerClient]:
    """A client of each HTTP server."""
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as connected:
        yield connected


def test_a_model_tells_its_counts(client: triton.InferenceServerClient) -> None:
    """By the protocol's names, and times in nanoseconds."""
    (told,) = client.get_inference_statistics("affine", "1")["model_stats"]

    assert ("affine", "1", 1_700_000_000_000, 12, 5) == (
        told["name"],
        told["version"],
        told["last_inference"],
        told["inference_count"],
        told["execution_count"],
    )
    assert {"count": 2, "ns": 2000} == told["inference_stats"]["queue"]
    assert {"success", "fail", "queue", *PHASES, "cache_hit", "cache_miss"} == set(told["inference_stats"])
    assert [1, 4] == [one["batch_size"] for one in told["batch_stats"]]
    assert {name: {"count": 2, "ns": 8} for name in PHASES} == {name: told["batch_stats"][1][name] for name in PHASES}


def test_without_a_name_all_models_are_told(client: triton.InferenceServerClient) -> None:
    """The path says stats where a model's name would stand."""
    assert ["affine", "echo"] == [one["name"] for one in client.get_inference_statistics()["model_stats"]]


def test_nobody_s_statistics_are_a_refusal(client: triton.InferenceServerClient) -> None:
    """As for its metadata."""
    with pytest.raises(InferenceServerException, match="there is no model"):
        client.get_inference_statistics("nobody")
    with pytest.raises(InferenceServerException, match="no version"):
        client.get_inference_statistics("affine", "7")


def test_grpc_tells_the_same(client: triton.InferenceServerClient) -> None:
    """Number for number."""
    with serve_grpc() as live, triton_grpc.InferenceServerClient(f"127.0.0.1:{live.port}") as other:
        theirs = other.get_inference_statistics("affine").model_stats[0]
        assert ["affine", "echo"] == [one.name for one in other.get_inference_statistics().model_stats]
        with pytest.raises(InferenceServerException, match="no version"):
            other.get_inference_statistics("affine", "7")
    ours = client.get_inference_statistics("affine")["model_stats"][0]

    assert (ours["last_inference"], ours["inference_count"], ours["execution_count"]) == (
        theirs.last_inference,
        theirs.inference_count,
        theirs.execution_count,
    )
    for name, duration in ours["inference_stats"].items():
        found = getattr(theirs.inference_stats, name)
        assert (duration["count"], duration["ns"]) == (found.count, found.ns)
    for batch, other_batch in zip(ours["batch_stats"], theirs.batch_stats, strict=True):
        assert batch["batch_size"] == other_batch.batch_size
        assert batch["compute_infer"]["ns"] == other_batch.compute_infer.ns
