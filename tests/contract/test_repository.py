"""The model-repository extension, by NVIDIA's client and by hand, on both entrances."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from service.errors import InvalidRequest, TooLarge
from service.protocol.http.load_body import _from_base64, read_load
from tests.contract.live import LIMITS, Client, Live, ask, body, status
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


def test_a_model_may_be_sent_along(server: Live, client: triton.InferenceServerClient) -> None:
    """A configuration alone, or with files, whose bytes come through as they are, also in other writings of JSON."""
    files = {"file:1/model.onnx": bytes(range(256)) * 3, "file:labels.txt": b"a\n"}
    client.load_model("affine", config='{"max_batch_size": 4}')
    client.load_model("affine", config="{}", files=files)
    escaped = base64.b64encode(b"\xff" * 9).replace(b"/", b"\\/")
    content = b'{"parameters": {"file:1/m": "%s", "config": "{}"}, "more": [1]}' % escaped
    assert 200 == status(ask(server.port, post("/v2/repository/models/affine/load", content)))
    client.load_model("affine")

    sent = {path.removeprefix("file:"): text for path, text in files.items()}
    expected = [('{"max_batch_size": 4}', {}), ("{}", sent), ("{}", {"1/m": b"\xff" * 9})]
    assert expected == [(one.config, one.files) for one in server.engine.overrides[-4:] if one]
    assert server.engine.overrides[-1] is None


def test_pieces_of_a_large_file_fit_together(server: Live) -> None:
    """Base64 is decoded in pieces; one that would end in the middle isn't base64."""
    content = bytes(range(256)) * 500
    assert content == _from_base64("file:1/m", msgspec.Raw(b'"%s"' % base64.b64encode(content)))
    large = b"AAAA" * (1 << 18)
    assert bytes(3 << 18) == _from_base64("file:1/m", msgspec.Raw(b'"%s"' % large))
    with pytest.raises(InvalidRequest, match='parameter "file:1/m" isn\'t base64'):
        _from_base64("file:1/m", msgspec.Raw(b'"%s%s"' % (large[:-4] + b"AAA=", b"AAAA")))


@pytest.mark.parametrize(
    "parameters,text",
    [
        ({"config": {}}, 'parameter "config" must be a string'),
        ({"file:1/model.onnx": "AAAA"}, 'without the parameter "config"'),
        ({"config": "{}", "file:labels.txt": "AAAA"}, "none of the files is in a version"),
        *[
            ({"config": "{}", f"file:{path}": "AAAA"}, f'parameter "file:{path}": expected file:<version>/<name>')
            for path in (
                "",
                "1",
                "1/",
                "/1/model.onnx",
                "../model.onnx",
                "1/../model.onnx",
                "1/..",
                "..",
                "0/model.onnx",
                "01/model.onnx",
                "one/model.onnx",
                "1/2/model.onnx",
                "1//model.onnx",
                "1/.hidden",
                "1\\\\model.onnx",
                "C:/model.onnx",
            )
        ],
        ({"config": "{}", "file:config.pbtxt": "AAAA"}, 'goes into the parameter "config"'),
        ({"config": "{}", "file:1/m": ""}, 'parameter "file:1/m": the file is empty'),
        ({"config": "{}", "file:1/m": 5}, 'parameter "file:1/m" must be a string that holds base64'),
        ({"config": "{}", "file:1/m": "AAA"}, 'parameter "file:1/m" isn\'t base64'),
        ({"config": "{}", "file:1/m": "A-A_"}, 'parameter "file:1/m" isn\'t base64'),
        ({"config": "{}", "file:1/m": "\u00e4AAA"}, 'parameter "file:1/m" isn\'t base64'),
        ({"config": "{}", **{f"file:1/{number}": "AAAA" for number in range(65)}}, "more than 64 files"),
    ],
)
def test_what_cannot_be_sent_along(server: Live, parameters: dict[str, Any], text: str) -> None:
    """The text names the parameter, and nothing is loaded."""
    loaded = len(server.engine.loaded)
    answer = ask(
        server.port, post("/v2/repository/models/affine/load", json.dumps({"parameters": parameters}).encode())
    )

    assert 400 == status(answer)
    assert text in json.loads(body(answer))["error"]
    assert loaded == len(server.engine.loaded)


def test_nobody_sends_megabytes_in_vain(server: Live) -> None:
    """Where models aren't loaded by request that is said before a body is read; elsewhere it is bounded."""
    path, size = "/v2/repository/models/affine/load", LIMITS.max_binary_bytes
    server.engine.is_explicit = False
    try:
        with Client(server.port) as client:
            client.send(f"POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: {size}\r\n\r\n".encode())
            answer = client.answer()
    finally:
        server.engine.is_explicit = True
    assert 400 == status(answer)
    assert "explicit model load" in json.loads(body(answer))["error"]

    assert 413 == status(ask(server.port, post(path, b" " * (size + 1))))


def test_a_configuration_is_a_page_of_text() -> None:
    """One that is longer would hold up others while it is read."""
    with pytest.raises(TooLarge, match='parameter "config" has'):
        read_load(json.dumps({"parameters": {"config": " " * (1 << 20) + "{}"}}).encode())


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
        ("/models/affine/load", b'{"parameters": {"config": "\xff"}}', 400, "invalid_request"),
        ("/models/affine/load", b'{"more":' + b"[" * 100_000, 400, "invalid_request"),
        ("/models/affine/unload", b'{"parameters": {"unload_dependents": 1}}', 400, "invalid_request"),
        ("/models/affine/unload", b'{"parameters": {"unload": true}}', 400, "invalid_request"),
        ("/models/full/unload", b"", 400, "invalid_request"),
        ("/models/failing/load", b"", 400, "artifact"),
        ("/models/nobody/load", b"", 404, "model_not_found"),
        ("/other/index", b"", 501, "unsupported"),
        ("/other/models/affine/load", b"", 501, "unsupported"),
        ("/other/models/affine/unload", b"", 501, "unsupported"),
        ("/models/affine/unload", b" " * (LIMITS.max_json_bytes + 1), 413, "too_large"),
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
