"""One workload: a model with one input and one output, how it is served, and what is sent to it."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.request import Request, binary_request, json_request

DTYPES = {"FP32": np.float32, "INT64": np.int64, "UINT8": np.uint8}


class Wire(enum.Enum):
    """How a tensor travels in the Open Inference Protocol over HTTP."""

    JSON = "JSON"
    BINARY = "binary"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """An input or output: [N, *dims]."""

    name: str
    datatype: str
    dims: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes of one row."""
        return prod(self.dims) * np.dtype(DTYPES[self.datatype]).itemsize


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """A network and its traffic.

    `values` draws one row [1, *dims]. `threads` is what each server may compute
    with, `connections` how many clients a busy server has. `turn` is the length of one turn of load in seconds: many
    times what a batch takes, so that what is in flight at its end doesn't matter.
    """

    name: str
    title: str
    input: Tensor
    output: Tensor
    wire: Wire
    threads: int
    connections: int
    turn: int
    values: Callable[[np.random.Generator], NDArray[Any]]
    max_batch_size: int = 32

    @property
    def model(self) -> str:
        """The name that it is served under."""
        return self.name.lower()

    @property
    def slow(self) -> bool:
        """True when a second holds so few answers that a turn's end would show in the throughput."""
        return self.turn > 1

    def config(self) -> str:
        """Its config.pbtxt."""
        return f"""\
backend: "onnxruntime"
max_batch_size: {self.max_batch_size}
input {{ name: "{self.input.name}" data_type: TYPE_{self.input.datatype} dims: {list(self.input.dims)} }}
output {{ name: "{self.output.name}" data_type: TYPE_{self.output.datatype} dims: {list(self.output.dims)} }}
dynamic_batching {{ }}
instance_group {{ kind: KIND_CPU count: 1 }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "{self.threads}" }} }}
"""

    def sample(self, seed: int = 2) -> NDArray[Any]:
        """One input [1, *dims], as the model takes it."""
        drawn = self.values(np.random.default_rng(seed))
        return np.ascontiguousarray(drawn, dtype=DTYPES[self.input.datatype])

    def request(self, seed: int = 2) -> Request:
        """The sample as Hone and every peer that can is sent it."""
        make = json_request if self.wire is Wire.JSON else binary_request
        return make(
            f"/v2/models/{self.model}/infer", self.name, self.input.name, self.input.datatype, self.sample(seed)
        )
