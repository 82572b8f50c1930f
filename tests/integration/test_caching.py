"""The response cache as clients and operators see it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton

from tests.contract.live import eventually
from tests.integration.served import CONFIG, Served, metric, mlp, serving, write_model

ENABLED = CONFIG + "response_cache { enable: true }"
POLL = ("--model-control-mode", "poll", "--repository-poll-secs", "0.2")
X = np.random.default_rng(0).normal(size=(1, 64)).astype(np.float32)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a model whose answers are kept."""
    root = tmp_path / "models"
    write_model(root, "mlp", config=ENABLED)
    return root


@pytest.fixture
def served(root: Path) -> Iterator[Served]:
    """A server that follows the repository."""
    with serving(root, *POLL, "--response-cache-byte-size", "100000") as server:
        yield server


def test_all_doors_share_what_is_kept(served: Served) -> None:
    """What one was answered the others are given, as JSON, in binary and over gRPC; what it shows says so."""
    tensor = triton.InferInput("x", [1, 64], "FP32")
    with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:
        answers = []
        for binary in (True, False):
            tensor.set_data_from_numpy(X, binary_data=binary)
            wanted = triton.InferRequestedOutput("y", binary_data=binary)
            answers.append(client.infer("mlp", [tensor], outputs=[wanted], request_id=str(binary)))
        (told,) = client.get_inference_statistics("mlp")["model_stats"]
        assert {"enable": True} == client.get_model_config("mlp")["response_cache"]
    with triton_grpc.InferenceServerClient(served.grpc) as other:
        same = triton_grpc.InferInput("x", [1, 64], "FP32")
        same.set_data_from_numpy(X)
        last = other.infer("mlp", [same])

    assert ["True", "False"] == [answer.get_response()["id"] for answer in answers]
    assert 1 == len({answer.as_numpy("y").tobytes() for answer in (*answers, last)})
    assert (1, 1, 1, 2) == (
        told["inference_count"],
        told["inference_stats"]["cache_hit"]["count"],
        told["inference_stats"]["cache_miss"]["count"],
        told["inference_stats"]["success"]["count"],
    )
    assert (2, 1) == (metric(served, "hone_cache_hits_total", model="mlp"), metric(served, "hone_cache_misses_total"))
    assert 0 < metric(served, "hone_cache_bytes", model="mlp") < 2000
    assert 3 == metric(served, "hone_requests_total", model="mlp", outcome="ok")


def test_a_new_version_answers_for_itself(served: Served, root: Path) -> None:
    """The answers of the one before are gone with it."""
    with triton.InferenceServerClient(served.http.removeprefix("http://")) as client:

        def ask() -> bytes:
            tensor = triton.InferInput("x", [1, 64], "FP32")
            tensor.set_data_from_numpy(X)
            content: bytes = client.infer("mlp", [tensor]).as_numpy("y").tobytes()
            return content

        old, again = ask(), ask()
        folder = root / "mlp" / "2"
        folder.mkdir()
        (folder / "model.onnx").write_bytes(mlp(seed=2))
        eventually(lambda: client.is_model_ready("mlp", "2"))
        new = ask()
        eventually(lambda: not metric(served, "hone_cache_bytes", model="mlp", version="1"))

    assert old == again != new
    assert 1 == metric(served, "hone_cache_misses_total", model="mlp", version="2")
