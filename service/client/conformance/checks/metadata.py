"""Metadata of the server and of the model."""

from typing import Any

from service.client.conformance.check import recommended, required
from service.client.conformance.expectation import applies, expect
from service.client.conformance.refusal import expect_refusal, expect_status
from service.client.conformance.specification import HTTP_SEMANTICS, REST, TENSORS, TRITON_HTTP, URI
from service.client.conformance.target import NO_VERSION, NOBODY, Target
from service.datatypes import NUMPY_DTYPES

_MOST_VERSIONS = 8


@required("http.metadata.server", REST)
def server(target: Target) -> None:
    """GET v2 is 200 with the name and the version of the server as strings, and its extensions as a list of them."""
    found = target.http.get("/v2").object()
    for key in ("name", "version"):
        expect(isinstance(found.get(key), str), f'expected "{key}" to be a string, got {found.get(key)!r}')
    expect(_is_texts(found.get("extensions")), f'expected "extensions" to be strings, got {found.get("extensions")!r}')


@required("http.metadata.model", REST)
def model(target: Target) -> None:
    """GET v2/models/NAME is 200 with name and platform, and lists of inputs and outputs."""
    found = target.http.get(target.path()).object()
    expect(found.get("name") == target.model, f'expected the name "{target.model}", got {found.get("name")!r}')
    expect(isinstance(found.get("platform"), str), f'expected "platform" to be a string, got {found.get("platform")!r}')
    for key in ("inputs", "outputs"):
        expect(isinstance(found.get(key), list), f'expected "{key}" to be a list, got {found.get(key)!r}')


@required("http.metadata.versions", REST)
def versions(target: Target) -> None:
    """The versions of a model, if it has any, are strings, and each can be asked for explicitly."""
    found = target.http.get(target.path()).object().get("versions") or []
    applies(found, "the model's metadata lists no versions")
    expect(_is_texts(found), f'expected "versions" to be strings, got {found!r}')
    for one in found[:_MOST_VERSIONS]:
        answer = target.http.get(target.path(version=one))
        expect(answer.status == 200, f"version {one} is listed, and asking for it is answered {answer.brief}")
        name = answer.object().get("name")
        expect(name == target.model, f'version {one}: expected the name "{target.model}", got {name!r}')


@required("http.metadata.tensors", REST)
def tensors(target: Target) -> None:
    """Each input and output has a name of its own, a datatype and a shape."""
    for kind, entries in _tensors(target).items():
        names = [entry.get("name") for entry in entries]
        expect(_is_texts(names) and all(names), f"{kind}: expected names, got {names}")
        expect(len(set(names)) == len(names), f"{kind}: expected different names, got {names}")
        for entry in entries:
            expect({"datatype", "shape"} <= entry.keys(), f"{kind}: expected datatype and shape, got {entry}")


@required("http.metadata.datatypes", TENSORS)
def datatypes(target: Target) -> None:
    """Datatypes are those of the protocol (BOOL, UINT8 to FP64, BYTES), or Triton's BF16."""
    for entry in (entry for entries in _tensors(target).values() for entry in entries):
        found = entry.get("datatype")
        expect(
            found in NUMPY_DTYPES, f'"{entry.get("name")}": expected one of {", ".join(NUMPY_DTYPES)}, got {found!r}'
        )


@required("http.metadata.shapes", REST)
def shapes(target: Target) -> None:
    """A shape is a list of integers, in which -1 stands for what varies."""
    for entry in (entry for entries in _tensors(target).values() for entry in entries):
        found = entry.get("shape")
        is_shape = isinstance(found, list) and all(type(axis) is int and axis >= -1 for axis in found)
        expect(is_shape, f'"{entry.get("name")}": expected integers from -1 on, got {found!r}')


@required("http.metadata.unknown-model", REST)
def unknown_model(target: Target) -> None:
    """A failed metadata request is an HTTP error status: here, of a model that doesn't exist."""
    expect_refusal(target.http.get(target.path(model=NOBODY)), "a model that doesn't exist")


@required("http.metadata.unknown-version", REST)
def unknown_version(target: Target) -> None:
    """Only the versions that are listed can be asked for."""
    _ = target.version
    expect_refusal(target.http.get(target.path(version=NO_VERSION)), f"version {NO_VERSION}, which isn't listed")


@recommended("http.metadata.escaped-name", URI)
def escaped_name(target: Target) -> None:
    """A model's name in the path may be percent-encoded: it is the same path."""
    escaped = "".join(f"%{byte:02X}" for byte in target.model.encode())
    found = target.http.get(f"/v2/models/{escaped}").object()
    expect(found.get("name") == target.model, f'expected the name "{target.model}", got {found.get("name")!r}')


@recommended("http.metadata.method", TRITON_HTTP)
def method(target: Target) -> None:
    """Metadata is asked by GET: a POST is answered 405."""
    expect_status(target.http.post(target.path(), b"{}"), 405, "POST v2/models/NAME")


@recommended("http.metadata.content-type", HTTP_SEMANTICS)
def content_type(target: Target) -> None:
    """What is JSON says so: Content-Type is application/json."""
    for path in ("/v2", target.path()):
        found = target.http.get(path).headers.get("content-type", "none")
        expect(found.startswith("application/json"), f"GET {path}: expected application/json, got {found}")


def _tensors(target: Target) -> dict[str, list[dict[str, Any]]]:
    """Inputs and outputs as the model's metadata has them."""
    found = target.http.get(target.path()).object()
    kinds = {kind: found.get(kind) for kind in ("inputs", "outputs")}
    listed = {kind: part for kind, part in kinds.items() if isinstance(part, list)}
    for kind, part in listed.items():
        expect(all(isinstance(entry, dict) for entry in part), f"{kind}: expected objects, got {part}")
    applies(any(listed.values()), "the model's metadata has no inputs and outputs")
    return listed


def _is_texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


CHECKS = (
    server,
    model,
    versions,
    tensors,
    datatypes,
    shapes,
    unknown_model,
    unknown_version,
    escaped_name,
    method,
    content_type,
)
