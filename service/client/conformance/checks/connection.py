"""Connections, and what a server is like after it has been asked for what it can't do."""

import json

from service.client.conformance.check import recommended, required
from service.client.conformance.expectation import expect
from service.client.conformance.http_client import Request
from service.client.conformance.refusal import expect_error_object, expect_refusal, expect_status
from service.client.conformance.specification import HTTP_MESSAGES, HTTP_SEMANTICS, REST, TENSORS, TRITON, TRITON_HTTP
from service.client.conformance.target import NOBODY, Target


@recommended("http.connection.several-requests", HTTP_MESSAGES)
def several_requests(target: Target) -> None:
    """A connection carries one request after the other, unless the server says that it closes it."""
    _ = target.baseline
    infer = target.request(*target.plain())
    ready = Request(method="GET", path=target.path("/ready"))
    for number, answer in enumerate(target.http.ask_in_turn(infer, ready, infer)):
        expect(answer.status == 200, f"request {number + 1} on one connection: expected 200, got {answer.brief}")


@recommended("http.connection.after-a-refusal", HTTP_MESSAGES)
def after_a_refusal(target: Target) -> None:
    """A refused body isn't taken for the next request: what follows on the connection is answered as ever."""
    _ = target.baseline
    refused, infer = target.request(*target.plain(), model=NOBODY), target.request(*target.plain())
    answers = target.http.ask_in_turn(refused, infer)
    target.expect_answer(answers[1], "a request after one that was refused, on one connection")


@recommended("http.connection.chunks", HTTP_MESSAGES)
def chunks(target: Target) -> None:
    """A body may come in chunks, without a Content-Length."""
    _ = target.baseline
    body, headers = target.plain()
    middle = len(body) // 2
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:middle], body[middle:]))
    answer = target.infer(pieces + b"0\r\n\r\n", {**headers, "Transfer-Encoding": "chunked"})
    target.expect_answer(answer, "a body in chunks")


@recommended("http.errors.unknown-path", TRITON_HTTP)
def unknown_path(target: Target) -> None:
    """A path that doesn't exist is answered 404."""
    expect_status(target.http.get("/v2/no-such-path"), 404, "GET v2/no-such-path")


@required("http.errors.object", TENSORS)
def error_object(target: Target) -> None:
    """The body of a failed request is the error object, {"error": text}."""
    _ = target.baseline
    expect_error_object(target.http.get(target.path(model=NOBODY)), "metadata of a model that doesn't exist")
    body, headers = target.plain()
    expect_error_object(target.infer(body, headers, model=NOBODY), "inference of a model that doesn't exist")
    expect_error_object(target.infer(b"{"), "JSON that is cut off")
    document = target.document()
    document["inputs"][0]["data"].pop()
    expect_error_object(target.infer(json.dumps(document).encode()), "an element less than the shape says")


@recommended("http.errors.object-of-routes", TRITON_HTTP)
def error_object_of_routes(target: Target) -> None:
    """Unknown paths and wrong methods are answered with the error object too."""
    expect_error_object(target.http.get("/v2/no-such-path"), "GET v2/no-such-path")
    expect_error_object(target.http.get(target.path("/infer")), "GET v2/models/NAME/infer")


@recommended("http.errors.client-faults", TRITON)
def client_faults(target: Target) -> None:
    """What the client did wrong is 4xx, never 5xx, which says that the same request may work another time."""
    document = target.document()
    document["inputs"][0]["data"] = []
    for body, what in ((b"{", "JSON that is cut off"), (json.dumps(document).encode(), "no elements for a shape")):
        answer = target.infer(body)
        expect(400 <= answer.status < 500, f"{what}: expected 4xx, got {answer.brief}")


@recommended("http.errors.content-type", HTTP_SEMANTICS)
def content_type(target: Target) -> None:
    """An error is JSON and says so: Content-Type is application/json."""
    answer = target.infer(b"{", model=NOBODY)
    expect_refusal(answer, "a model that doesn't exist")
    found = answer.headers.get("content-type", "none")
    expect(found.startswith("application/json"), f"expected application/json, got {found}")


@required("http.errors.unharmed", REST)
def unharmed(target: Target) -> None:
    """Requests that were refused change nothing: afterwards the server is ready, and answers as it did."""
    _ = target.baseline
    ready = target.http.get("/v2/health/ready")
    expect(ready.status == 200, f"v2/health/ready: expected 200, got {ready.brief}")
    target.expect_answer(target.infer(*target.plain()), "the plain inference, after those that were refused")


CHECKS = (
    several_requests,
    after_a_refusal,
    chunks,
    unknown_path,
    error_object,
    error_object_of_routes,
    client_faults,
    content_type,
)
AT_THE_END = (unharmed,)
