"""The order in which those who are compared take turns."""

from collections.abc import Sequence
from typing import TypeVar

One = TypeVar("One")


def turned(ones: Sequence[One], turn: int) -> Sequence[One]:
    """ABBA: every other turn goes the other way round, so that drift cancels."""
    return ones if turn % 2 == 0 else ones[::-1]
