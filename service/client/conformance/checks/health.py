"""Health: live, ready, and the readiness of a model."""

from typing import Any

from service.client.conformance.check import recommended, required
from service.client.conformance.expectation import expect
from service.client.conformance.http_client import Answer
from service.client.conformance.refusal import expect_status
from service.client.conformance.specification import REST, TRITON_HTTP
from service.client.conformance.target import NO_VERSION, NOBODY, Target


@required("http.health.live", REST)
def live(target: Target) -> None:
    """GET v2/health/live is 200 while the server is live; the body is empty, or JSON that says so."""
    _expect_yes(target.http.get("/v2/health/live"), ("live",))


@required("http.health.ready", REST)
def ready(target: Target) -> None:
    """GET v2/health/ready is 200 when all models are ready for inferencing; the body is empty, or JSON that says so."""
    _expect_yes(target.http.get("/v2/health/ready"), ("ready", "live"))


@required("http.health.model", REST)
def model(target: Target) -> None:
    """GET v2/models/NAME/ready is 200 when the model is ready; the body is empty, or JSON with its name and "ready"."""
    found = _expect_yes(target.http.get(target.path("/ready")), ("ready",))
    expect(
        found.get("name", target.model) == target.model, f"expected the name {target.model}, got {found.get('name')}"
    )


@required("http.health.model-version", REST)
def model_version(target: Target) -> None:
    """The version that the metadata lists is ready too, at v2/models/NAME/versions/VERSION/ready."""
    _expect_yes(target.http.get(target.path("/ready", version=target.version)), ("ready",))


@required("http.health.unknown-model", REST)
def unknown_model(target: Target) -> None:
    """A model that doesn't exist isn't ready: an error status, or JSON with "ready": false."""
    _expect_no(target.http.get(target.path("/ready", model=NOBODY)), "a model that doesn't exist")


@required("http.health.unknown-version", REST)
def unknown_version(target: Target) -> None:
    """A version that doesn't exist isn't ready, where the model has versions."""
    _ = target.version
    _expect_no(target.http.get(target.path("/ready", version=NO_VERSION)), f"version {NO_VERSION}, which isn't listed")


@recommended("http.health.method", TRITON_HTTP)
def method(target: Target) -> None:
    """Health is asked by GET: a POST is answered 405."""
    expect_status(target.http.post("/v2/health/live"), 405, "POST v2/health/live")


def _expect_yes(answer: Answer, keys: tuple[str, ...]) -> dict[str, Any]:
    """The JSON object of a 200 that doesn't say no; empty for a body that is no JSON object, as Triton's is."""
    expect(answer.status == 200, f"expected 200, got {answer.brief}")
    if not answer.body.lstrip().startswith(b"{"):
        return {}
    found = answer.object()
    for key in keys:
        expect(found.get(key, True) is True, f'expected "{key}" to be true, got {answer.brief}')
    return found


def _expect_no(answer: Answer, what: str) -> None:
    if answer.status == 200:
        found = answer.json() if answer.body else None
        expect(
            isinstance(found, dict) and found.get("ready") is False,
            f'{what}: expected an error status or "ready": false, got {answer.brief}',
        )
    else:
        expect(400 <= answer.status < 500, f"{what}: expected 400 or 404, got {answer.brief}")


CHECKS = (live, ready, model, model_version, unknown_model, unknown_version, method)
