"""The first protocol: plain JSON by rows or by columns, on both entrances."""

import json
from typing import Any

import pytest

from tests.contract.live import LIMITS, Client, Live, ask, body, eventually, status
from tests.contract.raw import chunked, get, post

PATH = "/v1/models/affine:predict"


def predict(server: Live, content: object, *headers: str, path: str = PATH) -> tuple[int, Any]:
    """Status and body of the answer."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = ask(server.port, post(path, text, *headers))
    return status(answer), json.loads(body(answer))


@pytest.mark.parametrize(
    "content,expected",
    [
        ({"instances": [[0.5, 1, 2, 3], [4, 5, 6, 7]]}, {"predictions": [[2, 3, 5, 7], [9, 11, 13, 15]]}),
        ({"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}, {"predictions": [[3, 5], [7, 9]]}),
        ({"instances": [1, 2, 3]}, {"predictions": [3, 5, 7]}),
        ({"instances": [[[1, 2], [3, 4]]], "signature_name": "serving_default"}, {"predictions": [[[3, 5], [7, 9]]]}),
        ({"instances": [[]]}, {"predictions": [[]]}),
        ({"inputs": [[1, 2]]}, {"outputs": [[3, 5]]}),
        ({"inputs": {"x": [[1], [2]]}}, {"outputs": [[3], [5]]}),
        ({"inputs": 4}, {"outputs": 9}),
    ],
)
def test_answers_have_the_form_of_the_question(server: Live, content: object, expected: object) -> None:
    """Rows for rows, columns for columns, nested as the tensors are; also of one version."""
    assert (200, expected) == predict(server, content)
    assert (200, expected) == predict(server, content, path="/v1/models/affine/versions/1:predict")


def test_texts_and_bytes(server: Live) -> None:
    """Text is text; bytes that aren't go as b64 in both directions."""
    content = {"instances": ["a", "\u00e4", {"b64": "/wA="}, {"x": "c"}["x"]]}

    assert (200, {"predictions": ["a", "\u00e4", {"b64": "/wA="}, "c"]}) == predict(
        server, content, path="/v1/models/echo:predict"
    )
    assert (200, {"outputs": "a"}) == predict(server, {"inputs": {"x": "a"}}, path="/v1/models/echo:predict")


def test_zeros_at_the_end_of_a_text_are_its_own(server: Live) -> None:
    """As JSON has them."""
    path = "/v1/models/echo:predict"
    assert (200, {"predictions": ["a\0\0"]}) == predict(server, {"instances": ["a\0\0"]}, path=path)
    assert (200, {"predictions": ["a\0\0"]}) == predict(server, b"a\0\0", "Content-Type: text/plain", path=path)


def test_another_kind_of_picture_is_named_in_short(server: Live) -> None:
    """However long its client says what it is."""
    code, answer = predict(server, b"", f"Content-Type: image/{'x' * 5000}\xff")

    assert 400 == code
    assert answer["error"].startswith('the body is "image/xxx')
    assert answer["error"].endswith('...", expected image/png or image/jpeg')
    assert len(answer["error"]) < 200


def test_what_is_not_finite_is_written_as_it_is_read(server: Live) -> None:
    """By the bare tokens that Python, TensorFlow Serving and Triton write; no other number loses a digit by it."""
    answer = ask(server.port, post(PATH, b'{"instances": [[NaN, Infinity, -Infinity, 0.1]]}'))

    assert 200 == status(answer)
    assert b'{"predictions":[[NaN,Infinity,-Infinity,1.2]]}' == body(answer)


@pytest.mark.parametrize(
    "content,text",
    [
        (b"", "malformed"),
        (b"[1]", "expected a JSON object"),
        (b"{NaN", "malformed"),
        (b'{"instances": [[NaN, "\\ud800"]]}', "malformed"),
        (b'{"instances": [[NaN, -1e999]]}', 'the number "-1e999" is too large'),
        ({}, "either"),
        ({"instances": [[1]], "inputs": [[1]]}, "either"),
        ({"instances": []}, "a list with an element for each instance"),
        ({"instances": 3}, "a list with an element for each instance"),
        ({"instances": [[1]], "parameters": {}}, '"parameters" isn\'t known'),
        ({"instances": [[1]], "signature_name": "other"}, '"signature_name" is "other"'),
        ({"instances": [{"z": 1}]}, 'has no input "z"'),
        ({"instances": [{"x": 1}, {"z": 1}]}, "instance 1 hasn't the inputs of instance 0"),
        ({"instances": [{"x": 1}, 2]}, "instance 1 hasn't the inputs of instance 0"),
        ({"instances": [[1, 2], [3]]}, "ragged"),
        ({"instances": [[1, [2]]]}, "element 1 is a list"),
        ({"instances": [["a"]]}, 'element 0 is "a"'),
        ({"instances": [[True]]}, "element 0 is true"),
        ({"instances": [1, {"b64": "AA=="}]}, "element 1 is an object"),
        ({"inputs": {"x": None}}, "element 0 is null"),
        (json.dumps({"inputs": 1}).replace("1", "[" * 40 + "1" + "]" * 40).encode(), "at most 16"),
    ],
)
def test_what_makes_no_request_is_refused(server: Live, content: object, text: str) -> None:
    """By name, and counted; nothing reaches the engine."""
    before, counted = len(server.engine.requests), len(server.engine.refused)
    code, answer = predict(server, content)

    assert (400, "invalid_request") == (code, answer["reason"])
    assert text in answer["error"]
    assert (before, counted + 1) == (len(server.engine.requests), len(server.engine.refused))


@pytest.mark.parametrize("element", [1, {"b64": "?"}, {"b64": 1}, {"c": "a"}, None])
def test_what_is_no_text_is_refused(server: Live, element: object) -> None:
    """For an input of bytes."""
    code, answer = predict(server, {"inputs": {"x": [element]}}, path="/v1/models/echo:predict")

    assert 400 == code
    assert 'input "x"' in answer["error"]


@pytest.mark.parametrize(
    "model,code,reason",
    [
        ("nobody", 404, "model_not_found"),
        ("loading", 503, "not_ready"),
        ("full", 503, "queue_full"),
        ("failing", 500, "backend_error"),
        ("late", 504, "deadline_exceeded"),
        ("twice", 500, "backend_error"),
        ("empty", 500, "backend_error"),
    ],
)
def test_refusals_are_those_of_the_other_protocol(server: Live, model: str, code: int, reason: str) -> None:
    """Status, reason and text."""
    found, answer = predict(server, {"instances": [[1]]}, path=f"/v1/models/{model}:predict")

    assert (code, reason) == (found, answer["reason"])
    assert answer["error"]


def test_time_is_granted_by_a_header(server: Live) -> None:
    """As for the other protocol."""
    predict(server, {"instances": [[1]]}, "X-Request-Timeout-Ms: 250")
    asked = server.engine.requests[-1]

    assert (0.25, "v1") == (asked.timeout, asked.protocol)
    assert 400 == predict(server, {"instances": [[1]]}, "X-Request-Timeout-Ms: soon")[0]


def test_bodies_and_answers_have_limits(server: Live) -> None:
    """Both 413; a body also when its length isn't announced."""
    rows = json.dumps({"instances": [[1] * 16] * 2000}).encode()
    assert len(rows) > LIMITS.max_json_bytes
    assert 413 == predict(server, rows)[0]
    assert 413 == status(ask(server.port, chunked(PATH, rows)))
    narrow = json.dumps({"instances": [[1] * 30] * 600}, separators=(",", ":")).encode()
    assert len(narrow) < LIMITS.max_json_bytes
    code, answer = predict(server, narrow)

    assert (413, "too_large") == (code, answer["reason"])
    assert "send fewer instances" in answer["error"]


def test_a_client_that_leaves_cancels(server: Live) -> None:
    """Its request leaves the queue."""
    before = server.engine.outcomes["cancelled"]
    with Client(server.port) as client:
        client.send(post("/v1/models/never:predict", b'{"instances": [[1]]}'))
        eventually(lambda: any(one.request.protocol == "v1" for one in server.engine.waiting))

    eventually(lambda: server.engine.outcomes["cancelled"] == before + 1)


def test_models_are_listed_and_asked(server: Live) -> None:
    """Those that are ready; a model that isn't is 503, an unknown one 404; and the server says that it is alive."""

    def told(path: str) -> tuple[int, Any]:
        answer = ask(server.port, get(path))
        return status(answer), json.loads(body(answer))

    assert (200, {"models": ["affine"]}) == told("/v1/models")
    assert (200, {"name": "affine", "ready": True}) == told("/v1/models/affine")
    assert (503, {"name": "loading", "ready": False}) == told("/v1/models/loading")
    assert 404 == told("/v1/models/nobody")[0]
    assert (200, {"status": "alive"}) == told("/")
