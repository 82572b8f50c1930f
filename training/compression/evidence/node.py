"""A node of a graph as a runtime computed it."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.compression.evidence.arithmetic import COUNTED, Shape

Seconds = NDArray[np.float64]
Precision = Literal["integer", "weights only", "half", "bfloat16", "float", "double", "other"]
"""What a node multiplies, or else what comes into it; `weights only`: integers that become floats before."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node as it ran: its multiply-accumulates (None where they aren't counted), the bytes that it reads and writes.

    `inputs` and `outputs` are names of tensors, `dtypes` those of its inputs, `answer` the shape of its first output;
    `seconds` [runs] are the kernel's own.
    """

    name: str
    operator: str
    domain: str
    precision: Precision
    macs: int | None
    moved: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dtypes: tuple[str, ...]
    answer: Shape
    seconds: Seconds

    @property
    def multiplies(self) -> bool:
        """True for what is a layer of its own: its time goes by its multiply-accumulates."""
        return self.macs is None or self.operator in COUNTED
