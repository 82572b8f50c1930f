"""Triton's model repository: its index. Nothing is loaded or unloaded."""

import json
from typing import Any

from service.client.conformance.check import extension, recommended
from service.client.conformance.expectation import CheckFailed, applies, expect
from service.client.conformance.refusal import expect_refusal, expect_status
from service.client.conformance.specification import REPOSITORY, TRITON_HTTP
from service.client.conformance.target import Target

_NAME = "model_repository"
_PATH = "/v2/repository/index"
_STATES = frozenset({"READY", "UNAVAILABLE", "LOADING", "UNLOADING", "UNKNOWN"})


@extension("http.repository.index", REPOSITORY, _NAME)
def index(target: Target) -> None:
    """POST v2/repository/index is a bare array with name, version, state and reason of each model, as strings."""
    for entry in _index(target, b"{}"):
        expect(isinstance(entry.get("name"), str), f"expected a name, got {entry}")
        for key in ("version", "state", "reason"):
            expect(isinstance(entry.get(key, ""), str), f"expected {key} to be a string, got {entry}")


@extension("http.repository.states", REPOSITORY, _NAME)
def states(target: Target) -> None:
    """A state is READY, UNAVAILABLE, LOADING, UNLOADING or UNKNOWN, and of a model that answers it is READY."""
    entries = _index(target, b"{}")
    odd = [entry for entry in entries if entry.get("state", "UNKNOWN") not in _STATES]
    expect(not odd, f"expected one of {', '.join(sorted(_STATES))}, got {odd}")
    found = {entry.get("state") for entry in entries if entry["name"] == target.model}
    expect("READY" in found, f'model "{target.model}" is ready, the index says {found or "nothing of it"}')


@extension("http.repository.empty-body", REPOSITORY, _NAME)
def empty_body(target: Target) -> None:
    """The body may be empty, as tritonclient sends it: all models are listed."""
    names = {entry["name"] for entry in _index(target, b"")}
    expect(target.model in names, f'expected "{target.model}" among them, got {sorted(names)}')


@extension("http.repository.only-ready", REPOSITORY, _NAME)
def only_ready(target: Target) -> None:
    """With {"ready": true} just the models are listed that are ready, and all of those."""
    found = _index(target, json.dumps({"ready": True}).encode())
    expect(target.model in {entry["name"] for entry in found}, f'expected "{target.model}" among them, got {found}')
    others = [entry for entry in found if entry.get("state", "READY") != "READY"]
    expect(not others, f"expected models that are READY, got {others}")


@extension("http.repository.malformed", REPOSITORY, _NAME)
def malformed(target: Target) -> None:
    """A failed index request is an HTTP error status: here, of JSON that is cut off."""
    expect_refusal(target.http.post(_PATH, b'{"ready":'), "JSON that is cut off")


@recommended("http.repository.method", TRITON_HTTP)
def method(target: Target) -> None:
    """The index is asked by POST: a GET is answered 405."""
    applies(_NAME in target.extensions, f"the server's metadata doesn't list the extension {_NAME}")
    expect_status(target.http.get(_PATH), 405, "GET v2/repository/index")


def _index(target: Target, body: bytes) -> list[dict[str, Any]]:
    answer = target.http.post(_PATH, body)
    expect(answer.status == 200, f"expected 200, got {answer.brief}")
    found = answer.json()
    if not isinstance(found, list) or not all(isinstance(one, dict) and "name" in one for one in found):
        raise CheckFailed(f"expected a bare array of objects with names, got {answer.brief}")
    return found


CHECKS = (index, states, empty_body, only_ready, malformed, method)
