"""What a server costs: the processor time of a process and everything it started, from /proc."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

IDLE_PATIENCE = 5.0
_LOOK = 0.3
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process that was there: its id, and when it was started, since ids are used again."""

    pid: int
    started: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stat:
    process: Process
    parent: int
    own: float
    reaped: float


def cpu_seconds(root: int) -> float:
    """User and system time so far of `root` and all that descend from it, ended and reaped ones included."""
    return sum(one.own + one.reaped for one in _tree(root))


def own_cpu_seconds(pid: int) -> float:
    """The same of one process alone."""
    return sum(one.own for one in _stats() if one.process.pid == pid)


def wait_until_idle(root: int, patience: float = IDLE_PATIENCE) -> bool:
    """Wait until the tree of `root` uses less than a tenth of a core, for `patience` seconds at most; whether it does.

    A server may go on computing what its clients gave up, and whoever is measured next would pay for it.
    """
    end = time.monotonic() + patience
    while time.monotonic() < end:
        used = cpu_seconds(root)
        time.sleep(_LOOK)
        if cpu_seconds(root) - used < _LOOK / 10:
            return True
    return False


def descendants(root: int) -> set[Process]:
    """All that descend from `root`, itself left out."""
    return {one.process for one in _tree(root) if one.process.pid != root}


def running(ones: Iterable[Process]) -> set[Process]:
    """Those of them that haven't ended."""
    return {one.process for one in _stats()}.intersection(ones)


def _tree(root: int) -> list[_Stat]:
    stats = {one.process.pid: one for one in _stats()}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for one in stats.values():
        children[one.parent].append(one.process.pid)
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            found.append(stats[pid])
        waiting += children[pid]
    return found


def _stats() -> list[_Stat]:
    """Every process that could be read."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text()
        except OSError:  # it ended meanwhile
            continue
        # The name may hold spaces and brackets; fields are counted from behind it: state is 0, ppid 1, utime 11.
        fields = text.rpartition(")")[2].split()
        own, reaped = (sum(map(int, fields[first : first + 2])) / _TICKS for first in (11, 13))
        process = Process(pid=int(folder.name), started=int(fields[19]))
        found.append(_Stat(process=process, parent=int(fields[1]), own=own, reaped=reaped))
    return found
