"""Memory, descriptors and processes of a service over time, from /proc, and whether they stay what they were."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_PAGE = os.sysconf("SC_PAGESIZE")
KIB, MIB = 2**10, 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Vital:
    """One look: `at` in monotonic seconds, memory in bytes. `worker` is the mean of those that are there.

    `zombies` are children that nobody has reaped.
    """

    at: float
    front: int
    front_resident: int
    worker: float
    workers: int
    descriptors: int
    shared: int
    threads: int
    zombies: tuple[int, ...]


def look(pid: int) -> Vital:
    """The service whose front is `pid`, now. Memory is proportional (PSS): what two share counts half for each."""
    children = _children(pid)
    states = {child: _state(child) for child in children}
    memory = [size for child, state in states.items() if state not in ("Z", "") and (size := _proportional(child))]
    descriptors = _descriptors(pid)
    return Vital(
        at=time.monotonic(),
        front=_proportional(pid),
        front_resident=int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE,
        worker=sum(memory) / len(memory) if memory else float("nan"),
        workers=len(memory),
        descriptors=len(descriptors),
        shared=sum("memfd:" in one for one in descriptors),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
        zombies=tuple(child for child, state in states.items() if state == "Z"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """How a size grew: the least-squares line over what was seen after the warm-up, in bytes and bytes a second."""

    begin: float
    end: float
    slope: float
    seconds: float

    @property
    def growth(self) -> float:
        """Bytes that the line rises over all of it."""
        return self.slope * self.seconds

    def flat(self, share: float, least: float) -> bool:
        """Whether it rises by no more than a share of where it began, or `least` bytes."""
        return self.growth <= max(share * self.begin, least)


def trend(times: Sequence[float], sizes: Sequence[float]) -> Trend:
    """Of sizes at times; needs two of them at least."""
    at, size = np.asarray(times) - times[0], np.asarray(sizes)
    known = ~np.isnan(size)
    slope, offset = np.polyfit(at[known], size[known], 1)
    return Trend(begin=float(offset), end=float(offset + slope * at[-1]), slope=float(slope), seconds=float(at[-1]))


def abiding(vitals: Sequence[Vital]) -> set[int]:
    """Zombies that were there at three looks one after the other."""
    found: set[int] = set()
    for three in zip(vitals, vitals[1:], vitals[2:], strict=False):
        found |= set.intersection(*(set(one.zombies) for one in three))
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def _state(pid: int) -> str:
    """A letter, empty for a process that has ended and was reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _proportional(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * KIB for line in lines if line.startswith("Pss:")), 0)


def _descriptors(pid: int) -> list[str]:
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(str(path.readlink()))
    return found
