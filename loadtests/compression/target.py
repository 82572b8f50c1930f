"""What is asked of a model's variants."""

from dataclasses import dataclass
from typing import Literal

Numbers = Literal["float", "bf16", "INT8"]
"""What most products are computed in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The fastest variant in these `numbers` is to be so many times `faster` than float at a batch of `batch` rows.

    Its answers may differ by a relative `error`, where one is named.
    """

    numbers: Numbers
    batch: int
    faster: float
    error: float | None = None
