"""What a file took in each round beside another, as the table of searches keeps it: by kind of work, then by rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadtests.compression.race import Turn
from training.compression.search.design import TEACHER

CHOSEN = "chosen"
Entry = Mapping[str, Any]
Turns = Mapping[tuple[str, int], Sequence[Turn]]
"""What a file took in each round, by the kind of work and the rows."""


def by_kind(turns: Turns) -> dict[str, dict[str, Any]]:
    """The turns as JSON has them: by kind of work, then by rows."""
    found: dict[str, dict[str, Any]] = {}
    for (kind, size), own in turns.items():
        found.setdefault(kind, {})[str(size)] = msgspec.to_builtins(own)
    return found


def ratios(entry: Entry, batch: int | None, kind: str | None = None) -> NDArray[np.float64]:
    """How many times as fast the chosen file was in each round: at a batch, or each at the batch of its best pace.

    By a kind of work, or by the first that there is.
    """
    teacher, chosen = (_paces(entry["turns"][file], kind) for file in (TEACHER, CHOSEN))
    found: NDArray[np.float64] = teacher[batch or _best(teacher)] / chosen[batch or _best(chosen)]
    return found


def _paces(turns: Entry, kind: str | None) -> dict[int, NDArray[np.float64]]:
    """Seconds a row in each round, by how many rows at once."""
    own = turns[kind or next(iter(turns))]
    return {int(size): np.array([turn["seconds"] for turn in one]) / int(size) for size, one in own.items()}


def _best(paces: Mapping[int, NDArray[np.float64]]) -> int:
    return min(paces, key=lambda size: float(np.median(paces[size])))


def batches(entry: Entry, batch: int | None) -> str:
    """The kind of work that counts, and by how many rows at once the teacher and the chosen did it."""
    kind = next(iter(entry["turns"][TEACHER]))
    whole, own = (batch or _best(_paces(entry["turns"][file], kind)) for file in (TEACHER, CHOSEN))
    return f"{kind} at {own}" if own == whole else f"{kind} at {own}, {whole}"
