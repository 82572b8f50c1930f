"""What travels between a door, the engine and a worker: tensors, requests and responses, free of any wire format.

They are frozen msgspec structs rather than dataclasses, because making one costs a fraction of the time and several are
made for each request.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec
from numpy.typing import NDArray

from service.quoting import quoted
from service.telemetry.span import Span

Parameters: TypeAlias = Mapping[str, str | int | float | bool]


class Tensor(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A named array with its protocol datatype (BF16 as uint16 patterns, BYTES as an object array of `bytes`)."""

    name: str
    datatype: str
    array: NDArray[Any]


class InferRequest(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One inference request as a door decoded it.

    `version` is None when the client named none. `outputs` are the names asked for; empty means all.
    `classes` says of which of them only the highest so many elements are wanted, as classes.
    `timeout` is the longest time to completion that the client grants, in seconds; None when it named none. `priority`
    is Triton's: 1 is the first level, 0 the model's default. `streams` says that the door takes several answers.
    `trace` is the span that what is done for it belongs to, if somebody traces it.
    """

    model: str
    version: str | None
    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()
    classes: Mapping[str, int] = {}
    id: str = ""
    parameters: Parameters = {}
    timeout: float | None = None
    priority: int = 0
    protocol: str = "http"
    streams: bool = False
    trace: Span | None = None

    @property
    def named(self) -> dict[str, str]:
        """What a line in the log calls it."""
        known = {"request_id": quoted(self.id)[1:-1], "trace_id": self.trace.context.trace_id if self.trace else ""}
        return {"model": quoted(self.model)[1:-1]} | {name: value for name, value in known.items() if value}


class InferResponse(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One answer. Its arrays may be views of shared memory: they are valid during `Receiver.emit` only.

    `final` is False where another answer to the same request follows.
    """

    model: str
    version: str
    outputs: tuple[Tensor, ...]
    id: str = ""
    final: bool = True
    parameters: Parameters = {}
