"""What a server costs: the processor time of a process and everything it started, from /proc."""

import os
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(root: int) -> float:
    """User and system time so far of `root` and all that descend from it, ended and reaped ones included."""
    parents, used = _processes()
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, parent in parents.items():
        children[parent].append(pid)
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0.0)
        waiting += children[pid]
    return total


def _processes() -> tuple[dict[int, int], dict[int, float]]:
    """Parent and seconds used by each process that could be read."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text()
        except OSError:  # it ended meanwhile
            continue
        # The name may hold spaces and brackets; fields are counted from behind it: state is 0, ppid 1, utime 11.
        fields = text.rpartition(")")[2].split()
        parents[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = sum(int(field) for field in fields[11:15]) / _TICKS
    return parents, used
