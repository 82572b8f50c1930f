"""Triton's model configuration."""

from collections.abc import Iterator, Mapping
from typing import Any

from service.client.conformance.check import extension
from service.client.conformance.expectation import applies, expect
from service.client.conformance.refusal import expect_refusal
from service.client.conformance.specification import CONFIGURATION
from service.client.conformance.target import NOBODY, Target

_NAME = "model_configuration"
_INTEGERS = frozenset(
    {"count", "dims", "max_batch_size", "max_queue_delay_microseconds", "preferred_batch_size", "versions"}
)
"""Fields of ModelConfig that are integers, of which some have 64 bits."""


@extension("http.config.model", CONFIGURATION, _NAME)
def model(target: Target) -> None:
    """GET v2/models/NAME/config is 200 with the model's ModelConfig as a JSON object, its name included."""
    found = _config(target)
    expect(found.get("name") == target.model, f'expected the name "{target.model}", got {found.get("name")!r}')


@extension("http.config.version", CONFIGURATION, _NAME)
def version(target: Target) -> None:
    """The configuration can be asked for by version too, and is the same model's."""
    found = target.http.get(target.path("/config", version=target.version)).object()
    expect(found.get("name") == target.model, f'expected the name "{target.model}", got {found.get("name")!r}')


@extension("http.config.integers", CONFIGURATION, _NAME)
def integers(target: Target) -> None:
    """Integers are JSON numbers, those of 64 bits too, which protobuf's own JSON has as strings."""
    config = _config(target)
    expect("max_batch_size" in config, "expected max_batch_size, 0 included")
    for key, found in _integers(config):
        expect(type(found) is int, f"{key}: expected an integer, got {found!r}")


@extension("http.config.tensors", CONFIGURATION, _NAME)
def tensors(target: Target) -> None:
    """Inputs and outputs are those of the metadata, with the same datatypes (TYPE_STRING is BYTES)."""
    config, metadata = _config(target), target.described()
    for ours, theirs in (("input", "inputs"), ("output", "outputs")):
        expected = {entry["name"]: entry["datatype"] for entry in metadata[theirs]}
        found = {entry.get("name"): _datatype(entry) for entry in _entries(config, ours)}
        expect(found == expected, f"{ours}: the metadata has {expected}, the configuration {found}")


@extension("http.config.batch-axis", CONFIGURATION, _NAME)
def batch_axis(target: Target) -> None:
    """With max_batch_size above 0 the metadata's shapes begin with -1, which `dims` leaves out."""
    config, metadata = _config(target), target.described()
    batched = config.get("max_batch_size", 0) > 0
    shapes = {entry["name"]: entry["shape"] for part in ("inputs", "outputs") for entry in metadata[part]}
    found = [entry for part in ("input", "output") for entry in _entries(config, part)]
    applies(found, "the configuration lists no tensors")
    for entry in found:
        dims, shape = entry.get("dims"), shapes.get(entry.get("name"))
        expected = [-1, *(dims or [])] if batched else dims
        expect(shape == expected, f'"{entry.get("name")}": dims are {dims}, expected shape {expected}, got {shape}')


@extension("http.config.unknown-model", CONFIGURATION, _NAME)
def unknown_model(target: Target) -> None:
    """A failed request is an HTTP error status: here, of a model that doesn't exist."""
    expect_refusal(target.http.get(target.path("/config", model=NOBODY)), "a model that doesn't exist")


def _config(target: Target) -> dict[str, Any]:
    return target.http.get(target.path("/config")).object()


def _entries(config: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = config.get(key, [])
    expect(isinstance(found, list) and all(isinstance(one, dict) for one in found), f'"{key}": expected objects')
    return list(found)


def _datatype(entry: Mapping[str, Any]) -> str:
    name = str(entry.get("data_type")).removeprefix("TYPE_")
    return "BYTES" if name == "STRING" else name


def _integers(found: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a field that is an integer, wherever it stands."""
    if isinstance(found, dict):
        for name, value in found.items():
            yield from _integers(value, name)
    elif isinstance(found, list):
        for value in found:
            yield from _integers(value, key)
    elif key in _INTEGERS:
        yield key, found


CHECKS = (model, version, integers, tensors, batch_axis, unknown_model)
