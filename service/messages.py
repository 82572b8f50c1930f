"""What travels between a door, the engine and a worker: tensors, requests and responses, free of any wire format."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from numpy.typing import NDArray

Parameters: TypeAlias = Mapping[str, str | int | float | bool]


@dataclass(kw_only=True, slots=True)
class Tensor:
    """A named array with its protocol datatype (BF16 as uint16 patterns, BYTES as an object array of `bytes`).

    Treated as immutable. It isn't a frozen dataclass only because a frozen one costs four times as much to make, and
    two are made per request.
    """

    name: str
    datatype: str
    array: NDArray[Any]


@dataclass(kw_only=True, slots=True)
class InferRequest:
    """One inference request as a door decoded it. Treated as immutable, see `Tensor`.

    `version` is None when the client named none. `outputs` are the names asked for; empty means all.
    `timeout` is the longest time to completion that the client grants, in seconds; None when it named none.
    """

    model: str
    version: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()
    id: str = ""
    parameters: Parameters = field(default_factory=dict)
    timeout: float | None = None
    protocol: str = "http"


@dataclass(kw_only=True, slots=True)
class InferResponse:
    """One answer. Its arrays may be views of shared memory: they are valid during `Receiver.emit` only."""

    model: str
    version: str
    outputs: tuple[Tensor, ...]
    id: str = ""
