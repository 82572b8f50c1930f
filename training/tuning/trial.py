"""One try of a search."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One try, counted from 1: the `values` by their keys, and what validation came to, by its best epoch.

    It was `finished`, or `pruned` as not promising, or `failed`, and `note` says why. `epochs` are those it got.
    """

    number: int
    state: Literal["finished", "pruned", "failed"]
    value: float | None
    values: Mapping[str, Any]
    epochs: int
    seconds: float
    note: str = ""
