"""Ensembles over a real server: several models in workers of their own, and clients that see one."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from tests.engine.ensemble.doubles import step
from tests.integration import models
from tests.integration.served import CONFIG, Served, metric, reference, serving, write_ensemble, write_model

PATIENCE = 20.0
EXPLICIT = ("--model-control-mode", "explicit")
BATCHES = "max_batch_size: 16 dynamic_batching { }"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository that all tests here serve."""
    root = tmp_path_factory.mktemp("ensembles")
    write_model(root, "twice", config=BATCHES, model=models.doubled())
    write_model(root, "mlp", config=CONFIG)
    write_model(root, "divided", config=BATCHES, model=models.divided())
    write_model(root, "hanging", config=BATCHES, model=models.hanging(7.0))
    chain = step("twice", "x=in", "y=doubled"), step("mlp", "x=doubled", "y=scores")
    write_ensemble(root, "chain", *chain, inputs="in:FP32:64", outputs="scores:FP32:10 doubled:FP32:64")
    again = step("divided", "x=in", "y=once"), step("divided", "x=once", "y=out")
    write_ensemble(root, "again", *again, inputs="in:INT32:1", outputs="out:INT32:1")
    stuck = step("hanging", "x=in", "y=t"), step("twice", "x=t", "y=out")
    write_ensemble(root, "stuck", *stuck, inputs="in:FP32:1", outputs="out:FP32:1")
    misfit = step("mlp", "x=in", "y=t"), step("divided", "x=t", "y=out")
    write_ensemble(root, "misfit", *misfit, inputs="in:FP32:64", outputs="out:INT32:1")
    write_ensemble(root, "lost", step("nobody", "x=in", "y=out"), inputs="in:FP32:1", outputs="out:FP32:1")
    return root


@pytest.fixture(scope="module")
def served(root: Path) -> Iterator[Served]:
    """A server that was asked for ensembles alone."""
    names = [flag for name in ("chain", "again", "stuck") for flag in ("--load-model", name)]
    with serving(root, *EXPLICIT, *names, "--batch-timeout-secs", "1") as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(served.http.removeprefix("http://"), network_timeout=60) as connected:
        yield connected


def tensor(kind: Any, array: NDArray[Any]) -> Any:
    given = kind.InferInput("in", list(array.shape), "INT32" if array.dtype == np.int32 else "FP32")
    given.set_data_from_numpy(array)
    return given


def rows(count: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(count).normal(size=(count, 64)).astype(np.float32)


def eventually(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "the condition never came true"
        time.sleep(0.02)


def test_tensors_go_from_model_to_model(served: Served, client: triton.InferenceServerClient) -> None:
    """Over both doors, for all outputs and for some; a request of more rows than a batch is computed in parts."""
    with triton_grpc.InferenceServerClient(served.grpc) as other:
        for count in (1, 3, 40):
            x = rows(count)
            answers = client.infer("chain", [tensor(triton, x)]), other.infer("chain", [tensor(triton_grpc, x)])
            for answer in answers:
                np.testing.assert_allclose(reference(2 * x), answer.as_numpy("scores"), rtol=1e-3, atol=1e-3)
                np.testing.assert_array_equal(2 * x, answer.as_numpy("doubled"))
    before = metric(served, "hone_inference_total", model="mlp")
    only = client.infer("chain", [tensor(triton, rows())], outputs=[triton.InferRequestedOutput("doubled")])

    np.testing.assert_array_equal(2 * rows(), only.as_numpy("doubled"))
    assert before == metric(served, "hone_inference_total", model="mlp")


def test_what_the_server_says_of_it(client: triton.InferenceServerClient) -> None:
    """Metadata, config and statistics, as perf_analyzer reads them."""
    client.infer("chain", [tensor(triton, rows())])
    config, metadata = client.get_model_config("chain"), client.get_model_metadata("chain")
    (counted,) = client.get_inference_statistics("chain")["model_stats"]

    assert ("ensemble", "ensemble", ["1"]) == (metadata["platform"], config["platform"], metadata["versions"])
    assert ["twice", "mlp"] == [one["model_name"] for one in config["ensemble_scheduling"]["step"]]
    assert [("in", "FP32", [-1, 64])] == [(one["name"], one["datatype"], one["shape"]) for one in metadata["inputs"]]
    assert client.is_model_ready("chain")
    assert counted["execution_count"] >= 1
    assert counted["inference_count"] >= 3
    assert counted["inference_stats"]["success"]["count"] == counted["inference_stats"]["queue"]["count"]
    assert counted["inference_stats"]["compute_infer"]["ns"] > 0


def test_a_step_that_fails(served: Served, client: triton.InferenceServerClient) -> None:
    """The whole fails with its error, which names the step, over both doors; others aren't hurt."""
    x = np.array([[10], [0]], np.int32)
    words = r'step 1 \(model "divided"\): '
    with pytest.raises(InferenceServerException, match=words) as caught:
        client.infer("again", [tensor(triton, x)])
    assert "500" == caught.value.status()
    late = np.array([[2000]], np.int32)  # 1000 / 2000 is 0 for integers, by which the second step can't divide
    with triton_grpc.InferenceServerClient(served.grpc) as other:
        with pytest.raises(InferenceServerException, match=r'step 2 \(model "divided"\)') as caught:
            other.infer("again", [tensor(triton_grpc, late)])
        assert "StatusCode.INTERNAL" == caught.value.status()
    assert [[10]] == client.infer("again", [tensor(triton, x[:1])]).as_numpy("out").tolist()


def test_deadlines_and_clients_that_leave(served: Served, client: triton.InferenceServerClient) -> None:
    """One deadline bounds all steps; a client that leaves takes them along."""
    x = np.array([[7.0]], np.float32)
    with pytest.raises(InferenceServerException, match=r"not finished within 0.3 s") as caught:
        client.infer("stuck", [tensor(triton, x)], timeout=300_000)
    assert "504" == caught.value.status()
    eventually(lambda: 1 == metric(served, "hone_requests_total", model="hanging", protocol="ensemble"))
    with triton_grpc.InferenceServerClient(served.grpc) as other:
        call = other.async_infer("stuck", [tensor(triton_grpc, x)], callback=lambda result, error: (result, error))
        time.sleep(0.2)  # it is computed, or waits until its predecessor's worker is given up
        call.cancel()
        eventually(lambda: 1 == metric(served, "hone_requests_total", model="stuck", outcome="cancelled"))
        eventually(lambda: 2 == metric(served, "hone_requests_total", model="hanging", protocol="ensemble"))


def test_models_come_and_go(served: Served, client: triton.InferenceServerClient) -> None:
    """A model that is unloaded is named, in the refusal and in the index, and its coming back is seen at once."""
    x = tensor(triton, rows())
    client.unload_model("mlp")
    words = 'step 2 (model "mlp"): model "mlp" was unloaded'
    with pytest.raises(InferenceServerException) as caught:
        client.infer("chain", [x])
    assert ("503", True) == (caught.value.status(), words in str(caught.value))
    assert not client.is_model_ready("chain")
    assert ("UNAVAILABLE", words) == state(client, "chain")
    eventually(lambda: 0 == metric(served, "hone_model_ready", model="chain"))
    client.load_model("mlp")
    client.infer("chain", [x])
    assert ("READY", "") == state(client, "chain")
    eventually(lambda: 1 == metric(served, "hone_model_ready", model="chain"))


def test_what_was_loaded_for_it_goes_with_it(client: triton.InferenceServerClient) -> None:
    """With `unload_dependents`, unless another ensemble needs it or it was asked for; without, all of it stays."""
    client.unload_model("again")
    assert ("READY", "") == state(client, "divided")
    client.load_model("again")
    client.unload_model("again", unload_dependents=True)
    assert ("UNAVAILABLE", "unloaded") == state(client, "divided")
    client.load_model("mlp")
    client.unload_model("chain", unload_dependents=True)
    assert [("READY", ""), ("READY", "")] == [state(client, name) for name in ("twice", "mlp")]
    for name in ("chain", "again"):
        client.load_model(name)
    client.infer("chain", [tensor(triton, rows())])


def test_steps_that_a_client_sends_along(client: triton.InferenceServerClient) -> None:
    """A config that comes with a load takes its models along too, and holds until the next load; files can't come."""
    config = client.get_model_config("chain")
    (twice, _) = config["ensemble_scheduling"]["step"]
    config["output"] = config["output"][1:]
    only = step_json("divided", {"x": "in"}, {"y": "doubled"})
    client.unload_model("again", unload_dependents=True)
    assert ("UNAVAILABLE", "unloaded") == state(client, "divided")
    with pytest.raises(InferenceServerException, match='tensor "in" is FP32 as input "in" of the ensemble, but INT32'):
        client.load_model("chain", config=json.dumps(config | {"ensemble_scheduling": {"step": [only]}}))
    assert ("READY", "") == state(client, "divided")
    client.load_model("chain", config=json.dumps(config | {"ensemble_scheduling": {"step": [twice]}}))
    answer = client.infer("chain", [tensor(triton, rows())])
    assert ["doubled"] == [output["name"] for output in answer.get_response()["outputs"]]
    with pytest.raises(InferenceServerException, match="other models compute it, so no files can be sent along"):
        client.load_model("chain", config=json.dumps(config), files={"file:1/model.onnx": b"x"})
    client.load_model("chain")
    client.load_model("again")
    assert client.infer("chain", [tensor(triton, rows())]).as_numpy("scores") is not None


def step_json(model: str, takes: dict[str, str], gives: dict[str, str]) -> dict[str, Any]:
    return {"model_name": model, "model_version": -1, "input_map": takes, "output_map": gives}


@pytest.mark.parametrize(
    "name, words",
    [
        ("misfit", 'tensor "t" is FP32 as output "y" of step 1 (model "mlp"), but INT32 as input "x" of step 2'),
        ("lost", 'lost needs model "nobody": there is no model "nobody" in the repository'),
    ],
)
def test_an_ensemble_that_cannot_be_loaded(client: triton.InferenceServerClient, name: str, words: str) -> None:
    """Whoever loads it is told the step, the tensor and both sides, or the model that isn't there."""
    with pytest.raises(InferenceServerException) as caught:
        client.load_model(name)
    assert words in str(caught.value)


def state(client: triton.InferenceServerClient, name: str) -> tuple[str, str]:
    (found,) = [one for one in client.get_model_repository_index() if one["name"] == name]
    return found["state"], found["reason"]


def test_polling_follows_models_and_ensembles(tmp_path: Path) -> None:
    """An ensemble waits for its models, and serves when they are there and fit, without a change of its own."""
    chain = step("twice", "x=in", "y=t"), step("mlp", "x=t", "y=out")
    write_ensemble(tmp_path, "chain", *chain, inputs="in:FP32:64", outputs="out:FP32:10")
    write_model(tmp_path, "mlp")
    with serving(tmp_path, "--model-control-mode", "poll", "--repository-poll-secs", "0.1") as served:
        with pytest.raises(OSError, match="503"):
            ask(served, rows())
        with urllib.request.urlopen(f"{served.http}/v2/health/ready") as answer:  # as without any other bad model
            assert 200 == answer.status
        write_model(tmp_path, "twice", config=BATCHES, model=models.divided())
        eventually(lambda: "INT32" in reason(served, "chain"))
        write_model(tmp_path, "twice", config=None, model=models.doubled(), version=2)
        eventually(lambda: not reason(served, "chain"))
        np.testing.assert_allclose(reference(2 * rows()), ask(served, rows()), rtol=1e-3, atol=1e-3)


def ask(served: Served, x: NDArray[np.float32]) -> NDArray[np.float32]:
    given = {"name": "in", "datatype": "FP32", "shape": list(x.shape), "data": x.ravel().tolist()}
    body = json.dumps({"inputs": [given]}).encode()
    with urllib.request.urlopen(f"{served.http}/v2/models/chain/infer", body) as answer:
        (output,) = json.load(answer)["outputs"]
    return np.array(output["data"], np.float32).reshape(output["shape"])


def reason(served: Served, name: str) -> str:
    with urllib.request.urlopen(f"{served.http}/v2/repository/index", b"") as answer:
        (found,) = [one for one in json.load(answer) if one["name"] == name]
    return str(found["reason"])
