"""The model-repository extension, by NVIDIA's client and by hand, on both entrances."""

import json
from collections.abc import Iterator

import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.contract.live import LIMITS, Live, ask, body, status
from tests.contract.raw import post


@pytest.fixture
def client(server: Live) -> Iterator[triton.InferenceServerClient]:
    """A client of each server."""
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as connected:
        yield connected


def test_the_client_loads_and_unloads(server: Live, client: triton.InferenceServerClient) -> None:
    """The stock methods reach the engine, and raise nothing."""
    client.load_model("affine")
    client.unload_model("affine")
    client.unload_model("echo", unload_dependents=True)

    assert "affine" == server.engine.loaded[-1]
    assert ["affine", "echo"] == server.engine.unloaded[-2:]


@pytest.mark.parametrize(
    "model,text", [("failing", "failing/1/model.onnx: no such file"), ("nobody", 'there is no model "nobody"')]
)
def test_a_load_that_fails_says_why(client: triton.InferenceServerClient, model: str, text: str) -> None:
    """The client raises with the reason."""
    with pytest.raises(InferenceServerException, match=text):
        client.load_model(model)


def test_a_model_of_the_client_s_own_is_not_taken(client: triton.InferenceServerClient) -> None:
    """Overrides of config and files are refused by name, and nothing is loaded in their stead."""
    with pytest.raises(InferenceServerException, match="a model is loaded as the repository has it"):
        client.load_model("affine", config='{"max_batch_size": 4}')


@pytest.mark.parametrize("path", ["", "/models/affine/load", "/models/affine/unload"])
def test_bodies_may_be_empty(server: Live, path: str) -> None:
    """No body, and an empty object, ask for nothing special; the answer to a change is empty."""
    for content in (b"", b"{}", b'{"parameters": {}}'):
        answer = ask(server.port, post("/v2/repository" + (path or "/index"), content))
        assert 200 == status(answer)
        assert (b"" == body(answer)) is bool(path)


@pytest.mark.parametrize(
    "path,content,code,reason",
    [
        ("/index", b'{"ready": 1}', 400, "invalid_request"),
        ("/index", b"[]", 400, "invalid_request"),
        ("/models/affine/load", b"{", 400, "invalid_request"),
        ("/models/affine/load", b'{"parameters": 3}', 400, "invalid_request"),
        ("/models/affine/load", b'{"parameters": {"speed": 3}}', 400, "invalid_request"),
        ("/models/affine/load", b'{"parameters": {"config": "{}"}}', 501, "unsupported"),
        ("/models/affine/load", b'{"parameters": {"file:1/model.onnx": "AA=="}}', 501, "unsupported"),
        ("/models/affine/unload", b'{"parameters": {"unload_dependents": 1}}', 400, "invalid_request"),
        ("/models/affine/unload", b'{"parameters": {"unload": true}}', 400, "invalid_request"),
        ("/models/full/unload", b"", 400, "invalid_request"),
        ("/models/failing/load", b"", 500, "artifact"),
        ("/models/nobody/load", b"", 404, "model_not_found"),
        ("/other/index", b"", 501, "unsupported"),
        ("/other/models/affine/load", b"", 501, "unsupported"),
        ("/other/models/affine/unload", b"", 501, "unsupported"),
        ("/models/affine/load", b" " * (LIMITS.max_json_bytes + 1), 413, "too_large"),
    ],
)
def test_what_is_refused(server: Live, path: str, content: bytes, code: int, reason: str) -> None:
    """Each refusal has its status and its word."""
    answer = ask(server.port, post("/v2/repository" + path, content))

    assert code == status(answer)
    assert reason == json.loads(body(answer))["reason"]


def test_only_what_is_ready_on_request(server: Live) -> None:
    """`ready` leaves out what isn't."""
    answer = ask(server.port, post("/v2/repository/index", b'{"ready": true}'))

    assert [{"name": "affine", "version": "1", "state": "READY", "reason": ""}] == json.loads(body(answer))
