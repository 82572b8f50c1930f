"""How many users there are at each moment: a shape over the whole run, or a trace of somebody's real day.

A trace is a CSV file of two columns. `second,users` says how many users there are from that second on. With
`second,arrivals` it is requests per second: so many users, each of whom asks once a second as long as answers come
within it. The second of the last row is the end.
"""

import csv
import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

MOST_USERS, MOST_SECONDS = 100_000, 7 * 24 * 3600
SPIKE_SHARE, SPIKE_FROM, SPIKE_UNTIL = 0.1, 0.4, 0.6
STEPS = 5
RISE_SHARE, LONGEST_RISE = 0.1, 60.0

Plan = Callable[[float], int]
"""Users by seconds from the start."""


class TraceError(Exception):
    """A trace can't be read; the text names the file and the line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """Users, or requests per second where `is_arrivals`, from each second on; `seconds` is the end."""

    starts: Sequence[float]
    numbers: Sequence[int]
    seconds: float
    is_arrivals: bool

    def at(self, second: float) -> int:
        """The number that holds at this moment; 0 before the first row."""
        row = bisect_right(self.starts, second) - 1
        return self.numbers[row] if row >= 0 else 0


def ramp(users: int, seconds: float) -> Plan:
    """From one user to all, at a steady pace."""
    return lambda second: max(1, math.ceil(users * second / seconds))


def spike(users: int, seconds: float) -> Plan:
    """A tenth of them, but all for the fifth of the time in the middle."""
    few = max(1, round(users * SPIKE_SHARE))
    return lambda second: users if SPIKE_FROM <= second / seconds < SPIKE_UNTIL else few


def step(users: int, seconds: float) -> Plan:
    """Five steps of equal height and length."""
    return lambda second: max(1, round(users * (int(second / seconds * STEPS) + 1) / STEPS))


def soak(users: int, seconds: float) -> Plan:
    """All of them, after a tenth of the time or a minute in which they come."""
    rise = min(seconds * RISE_SHARE, LONGEST_RISE)
    return lambda second: min(users, max(1, math.ceil(users * second / rise)))


SHAPES: dict[str, Callable[[int, float], Plan]] = {"ramp": ramp, "spike": spike, "step": step, "soak": soak}
REPLAY = "replay"
"""The shape that a trace gives."""


def read_trace(path: Path) -> Trace:
    """A trace from its file. Raises TraceError."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: {getattr(error, 'strerror', None) or 'not a text'}") from None
    except (csv.Error, ValueError):
        raise TraceError(f"{path}: expected lines of second,users or second,arrivals") from None
    if header not in (["second", "users"], ["second", "arrivals"]):
        raise TraceError(f"{path}:1: expected second,users or second,arrivals, got {','.join(header)}")
    found = [_row(path, line, row) for line, row in enumerate(rows, 2)]
    for line, (before, after) in enumerate(pairwise(found), 3):
        if after[0] <= before[0]:
            raise TraceError(f"{path}:{line}: seconds ascend, got {after[0]:g} after {before[0]:g}")
    if len(found) < 2 or not any(number for _, number in found[:-1]):
        raise TraceError(f"{path}: a trace needs a row with users, and one that says when it ends")
    starts, numbers = zip(*found, strict=True)
    return Trace(starts=starts, numbers=numbers, seconds=starts[-1], is_arrivals=header[1] == "arrivals")


def _row(path: Path, line: int, row: Sequence[str]) -> tuple[float, int]:
    try:
        second, number = float(row[0]), int(row[1])
    except (IndexError, ValueError):
        raise TraceError(f"{path}:{line}: expected a second and a whole number, got {','.join(row)}") from None
    if len(row) != 2 or not 0 <= second <= MOST_SECONDS or not 0 <= number <= MOST_USERS:
        raise TraceError(
            f"{path}:{line}: a second is at most {MOST_SECONDS}, a number at most {MOST_USERS}, got {','.join(row)}"
        )
    return second, number
