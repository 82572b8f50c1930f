"""A real server, asked by the stock client, against ONNX Runtime in this process."""

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from tests.integration.served import CONFIG, Served, mlp, serving, write_model


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Models with a config, without one, in two versions, on OpenVINO, and a broken one."""
    root = tmp_path_factory.mktemp("models")
    write_model(root, "mlp")
    write_model(root, "bare", config=None)
    write_model(root, "vino", config=CONFIG.replace("onnxruntime", "openvino"))
    write_model(root, "alone", config=CONFIG.replace("dynamic_batching { }", ""))
    write_model(root, "two", config=CONFIG + "version_policy { all { } }")
    shutil.copytree(root / "two" / "1", root / "two" / "2")
    (root / "two" / "2" / "model.onnx").write_bytes(mlp(seed=2))
    write_model(root, "broken", model=b"nonsense")
    with serving(root) as server:
        yield server


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    """The stock client."""
    with triton.InferenceServerClient(served.http.removeprefix("http://")) as connected:
        yield connected


def ask(
    client: triton.InferenceServerClient,
    model: str,
    x: "np.ndarray[tuple[int, ...], np.dtype[np.float32]]",
    *,
    binary: bool,
    version: str = "",
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    tensor = triton.InferInput("x", list(x.shape), "FP32")
    tensor.set_data_from_numpy(x, binary_data=binary)
    wanted = triton.InferRequestedOutput("y", binary_data=binary)
    answer: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = client.infer(
        model, [tensor], model_version=version, outputs=[wanted]
    ).as_numpy("y")
    return answer


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("model", ["mlp", "bare", "alone"])
@pytest.mark.parametrize("rows", [1, 16])
def test_tritonclient_gets_what_onnx_runtime_computes(
    client: triton.InferenceServerClient, model: str, rows: int, binary: bool
) -> None:
    """The same numbers as `session.run` in this process, in JSON and in binary."""
    x = np.random.default_rng(rows).normal(size=(rows, 64)).astype(np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(mlp(), options, providers=["CPUExecutionProvider"])
    expected = session.run(["y"], {"x": x})[0]

    np.testing.assert_allclose(expected, ask(client, model, x, binary=binary), rtol=1e-6)


def test_openvino_serves_the_same_model(client: triton.InferenceServerClient) -> None:
    """The backend is a line in the config; the answers agree."""
    x = np.random.default_rng(3).normal(size=(5, 64)).astype(np.float32)

    np.testing.assert_allclose(
        ask(client, "mlp", x, binary=True), ask(client, "vino", x, binary=True), rtol=1e-4, atol=1e-4
    )


def test_versions_are_models_of_their_own(client: triton.InferenceServerClient) -> None:
    """A client that names no version gets the newest; each version answers for itself."""
    x = np.ones((1, 64), np.float32)
    newest, first = ask(client, "two", x, binary=True), ask(client, "two", x, binary=True, version="1")

    np.testing.assert_array_equal(newest, ask(client, "two", x, binary=True, version="2"))
    assert not np.allclose(newest, first)
    assert ["1", "2"] == client.get_model_metadata("two")["versions"]


def test_the_index_lists_what_is_served_and_why_the_rest_is_not(client: triton.InferenceServerClient) -> None:
    """A model that failed to load is UNAVAILABLE with its reason, and the server is ready all the same."""
    entries = {(entry["name"], entry["version"]): entry for entry in client.get_model_repository_index()}

    assert "READY" == entries["mlp", "1"]["state"]
    assert "UNAVAILABLE" == entries["broken", "1"]["state"]
    assert "isn't ONNX" in entries["broken", "1"]["reason"]
    assert client.is_server_ready()
    assert not client.is_model_ready("broken")
    with pytest.raises(InferenceServerException, match="could not be loaded; the repository index says why"):
        ask(client, "broken", np.ones((1, 64), np.float32), binary=True)


def test_metadata_and_config_say_what_is_served(client: triton.InferenceServerClient) -> None:
    """Also for a model without a config: it is completed from the model itself."""
    metadata = client.get_model_metadata("bare")
    config = client.get_model_config("bare")

    assert [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}] == metadata["inputs"]
    assert "onnxruntime_onnx" == metadata["platform"]
    assert 32 == config["max_batch_size"]
    assert "dynamic_batching" in config
    assert {"hone"} == {client.get_server_metadata()["name"]}


def test_a_bad_request_hurts_nobody_else(client: triton.InferenceServerClient) -> None:
    """Wrong shapes, names and sizes are refused one by one, and the next good request is answered."""
    good = np.ones((1, 64), np.float32)
    for bad in (np.ones((1, 63), np.float32), np.ones((1025, 64), np.float32), np.ones((64,), np.float32)):
        with pytest.raises(InferenceServerException, match=r'"x" has shape|1025 rows'):
            ask(client, "mlp", bad, binary=True)
        assert (1, 10) == ask(client, "mlp", good, binary=True).shape


def test_metrics_count_what_happened(served: Served, client: triton.InferenceServerClient) -> None:
    """Requests, rows, batches and errors are exposed by model and version; unknown names make no new series."""
    before = scrape(served)
    for rows in (1, 3):
        ask(client, "mlp", np.ones((rows, 64), np.float32), binary=True)
    for name in ("nobody", "nothing"):
        with pytest.raises(InferenceServerException):
            ask(client, name, np.ones((1, 64), np.float32), binary=True)
    after = scrape(served)

    def grown(sample: str) -> float:
        return after.get(sample, 0) - before.get(sample, 0)

    assert 2 == grown('hone_requests_total{model="mlp",outcome="ok",protocol="http",version="1"}')
    assert 4 == grown('hone_inference_total{model="mlp",version="1"}')
    assert 2 == grown('hone_execution_total{model="mlp",version="1"}')
    assert 2 == grown('hone_request_duration_seconds_count{model="mlp",protocol="http",version="1"}')
    assert 2 == grown('hone_requests_total{model="_unknown",outcome="client_error",protocol="http",version=""}')
    assert 1 == after['hone_model_ready{model="mlp",version="1"}']
    assert 1 == after['hone_worker_up{device="cpu",model="mlp",version="1"}']
    assert after['hone_worker_resident_bytes{model="mlp",version="1"}'] > 10**7
    assert not any("nobody" in sample for sample in after)


def scrape(served: Served) -> dict[str, float]:
    with urllib.request.urlopen(f"{served.metrics}/metrics", timeout=5) as response:
        text = response.read().decode()
    return {found[1]: float(found[2]) for found in re.finditer(r"^(hone_\S+\{.*\}) (\S+)$", text, re.MULTILINE)}


def test_the_answer_carries_id_version_and_plain_json(served: Served) -> None:
    """`curl` gets what the protocol promises."""
    tensor = {"name": "x", "shape": [1, 64], "datatype": "FP32", "data": [0.5] * 64}
    body = json.dumps({"id": "seven", "inputs": [tensor]}).encode()
    with urllib.request.urlopen(f"{served.http}/v2/models/mlp/infer", body, timeout=5) as response:
        answer = json.load(response)

    assert {"model_name": "mlp", "model_version": "1", "id": "seven"} == {
        key: answer[key] for key in ("model_name", "model_version", "id")
    }
    (output,) = answer["outputs"]
    assert ("y", "FP32", [1, 10], 10) == (output["name"], output["datatype"], output["shape"], len(output["data"]))


def test_an_answer_of_the_committed_family_matches_its_golden_samples() -> None:
    """The models in the repository serve, and give the outputs that were published with them."""
    root = Path(__file__).resolve().parents[2] / "models"
    with serving(root) as server, triton.InferenceServerClient(server.http.removeprefix("http://")) as stock:
        entries = stock.get_model_repository_index()
        assert {"digits", "digits-int8", "digits-teacher"} <= {entry["name"] for entry in entries}
        for entry in entries:
            golden = np.load(root / entry["name"] / entry["version"] / "golden.npz")
            image = triton.InferInput("image", list(golden["input.image"].shape), "UINT8")
            image.set_data_from_numpy(golden["input.image"])
            found = stock.infer(entry["name"], [image]).as_numpy("probabilities")
            np.testing.assert_array_equal(golden["output.probabilities"].argmax(1), found.argmax(1))
            np.testing.assert_allclose(golden["output.probabilities"], found, atol=0.02)
