"""What a peer is told to serve, passed in its environment. Runs in the peers' environments."""

import json
import os
from dataclasses import asdict, dataclass
from typing import Any

VARIABLE = "BENCH_ASSIGNMENT"
DELAY_SECONDS = 0.002
"""How long a peer that batches with a timer waits for a batch to fill."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A model file with one input and one output, [N, *dims], and what it may be served with.

    `grpc_port` is 0 where nobody asks by gRPC. `binary`: requests hold the input as bytes behind a JSON head. `tally`
    is the file that batches are counted in.
    """

    file: str
    model: str
    input_name: str
    datatype: str
    input_dims: tuple[int, ...]
    output_name: str
    output_dims: tuple[int, ...]
    binary: bool
    threads: int
    max_batch_size: int
    port: int
    tally: str
    grpc_port: int = 0

    def environment(self) -> dict[str, str]:
        """The variable that carries it."""
        return {VARIABLE: json.dumps(asdict(self))}


def assigned() -> Assignment:
    """The assignment of this process."""
    given: dict[str, Any] = json.loads(os.environ[VARIABLE])
    given["input_dims"], given["output_dims"] = tuple(given["input_dims"]), tuple(given["output_dims"])
    return Assignment(**given)
