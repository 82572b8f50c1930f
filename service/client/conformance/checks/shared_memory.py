"""Triton's system shared memory, as far as it can be asked without any: nothing is registered."""

import json

from service.client.conformance.check import extension
from service.client.conformance.expectation import CheckFailed, expect
from service.client.conformance.refusal import expect_refusal
from service.client.conformance.specification import SHARED_MEMORY
from service.client.conformance.target import Target

_NAME = "system_shared_memory"
_PATH = "/v2/systemsharedmemory"
_REGION = "conformance-no-region"


@extension("http.shared-memory.status", SHARED_MEMORY, _NAME)
def status(target: Target) -> None:
    """GET v2/systemsharedmemory/status is a list of regions, each with name, key, offset and byte_size."""
    answer = target.http.get(f"{_PATH}/status")
    expect(answer.status == 200, f"expected 200, got {answer.brief}")
    found = answer.json()
    if not isinstance(found, list):
        raise CheckFailed(f"expected a list, got {answer.brief}")
    for entry in found:
        fits = isinstance(entry, dict) and {"name", "key", "offset", "byte_size"} <= entry.keys()
        expect(fits, f"expected name, key, offset and byte_size, got {entry}")


@extension("http.shared-memory.unknown-region", SHARED_MEMORY, _NAME)
def unknown_region(target: Target) -> None:
    """An input in a region that nobody registered is refused."""
    document = target.document()
    entry = document["inputs"][0]
    size = target.inputs[0].array.nbytes
    del entry["data"]
    entry["parameters"] = {"shared_memory_region": _REGION, "shared_memory_byte_size": size}
    target.expect_refused(json.dumps(document).encode(), "an input in a region that isn't registered")


@extension("http.shared-memory.unknown-key", SHARED_MEMORY, _NAME)
def unknown_key(target: Target) -> None:
    """A region whose shared memory doesn't exist can't be registered."""
    body = json.dumps({"key": "/conformance-no-memory", "offset": 0, "byte_size": 64}).encode()
    answer = target.http.post(f"{_PATH}/region/{_REGION}/register", body)
    if answer.status == 200:
        target.http.post(f"{_PATH}/region/{_REGION}/unregister")
    expect_refusal(answer, "shared memory that doesn't exist")


CHECKS = (status, unknown_region, unknown_key)
