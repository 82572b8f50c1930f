"""How a client wants its outputs written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.errors import InvalidRequest
from service.protocol.client_memory import ClientMemory, Target, check_targets, place_of
from service.protocol.http.document import OutputEntry
from service.protocol.layout import check_outputs
from service.protocol.limits import Limits
from service.protocol.parameters import class_count
from service.quoting import quoted


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The outputs that are listed, which of them as binary data, and whether those that aren't listed are binary;
    `classes` says of which only the highest so many are wanted, `targets` where in shared memory some are written.

    Triton's documentation says that the request's `binary_data_output` overrides; its code applies it only to outputs
    that aren't listed. This follows the code.
    """

    names: tuple[str, ...] = ()
    binary: frozenset[str] = frozenset()
    rest_binary: bool = False
    classes: Mapping[str, int] = field(default_factory=dict)
    targets: Mapping[str, Target] = field(default_factory=dict)

    def is_binary(self, name: str) -> bool:
        """Whether that output goes out as binary data."""
        return name in self.binary if name in self.names else self.rest_binary


ALL_JSON = Wanted()
ALL_BINARY = Wanted(rest_binary=True)


def read_wanted(
    outputs: tuple[OutputEntry, ...], parameters: Mapping[str, Any], limits: Limits, memory: ClientMemory
) -> Wanted:
    """What a request says about its outputs. Raises InvalidRequest or Forbidden naming output and key."""
    rest_binary = parameters.get("binary_data_output", False)
    if type(rest_binary) is not bool:
        raise InvalidRequest("parameter binary_data_output must be true or false")
    if not outputs:
        return ALL_BINARY if rest_binary else ALL_JSON
    names = tuple(entry.name for entry in outputs)
    check_outputs(names, limits)
    binary = frozenset(entry.name for entry in outputs if entry.parameters and _wants_binary(entry))
    classes = {
        entry.name: class_count(entry.name, entry.parameters["classification"])
        for entry in outputs
        if entry.parameters and "classification" in entry.parameters
    }
    targets = {
        entry.name: memory.target(place)
        for entry in outputs
        if (place := place_of("output", entry.name, entry.parameters)) is not None
    }
    check_targets(classes, {name: target.place for name, target in targets.items()})
    return Wanted(names=names, binary=binary, rest_binary=rest_binary, classes=classes, targets=targets)


def _wants_binary(entry: OutputEntry) -> bool:
    parameters = entry.parameters or {}
    binary = parameters.get("binary_data", False)
    if type(binary) is not bool:
        raise InvalidRequest(f"output {quoted(entry.name)}: binary_data must be true or false")
    return binary
