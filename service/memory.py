"""The memory that the service may take, and how much of it is taken: a container's, else the machine's."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class _Files(NamedTuple):
    """What one generation of the kernel's control groups calls its files, see cgroups(7)."""

    controller: str
    mount: str
    limit: str
    used: str
    inactive: str


_GENERATIONS = (
    _Files("", "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    _Files("memory", "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


class MemoryCollector(Collector):
    """Exposes the limit of the control group that this process is in, and what all of the group has taken.

    The limit is that of the nearest group that has one, at most the machine's memory; without one it is the machine's
    memory, and what is taken is all that isn't available. Files that were read and can be dropped don't count: it is
    what kubelet calls the working set, and ends processes by. `root` is where /proc and /sys are.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at every scrape. Nothing on a system that has no such files."""
        limit = GaugeMetricFamily("hone_memory_limit_bytes", "Memory that the container, or the machine, may take")
        used = GaugeMetricFamily(
            "hone_memory_used_bytes", "Memory that it has taken, without files that can be dropped"
        )
        with suppress(OSError, ValueError, KeyError):
            machine = _figures(self._root / "proc/meminfo")
            allowed, taken = self._group(machine["MemTotal:"]) or (
                machine["MemTotal:"],
                machine["MemTotal:"] - machine["MemAvailable:"],
            )
            limit.add_metric([], allowed)
            used.add_metric([], taken)
        yield limit
        yield used

    def _group(self, machine: int) -> tuple[int, int] | None:
        """Limit and what is taken of the nearest group that may have less than the `machine`, in bytes."""
        memberships = [line.split(":", 2) for line in (self._root / "proc/self/cgroup").read_text().splitlines()]
        for files in _GENERATIONS:
            mount = self._root / files.mount
            for _, controllers, path in memberships:
                if files.controller in controllers.split(","):
                    # In a container the path may be the host's, of which only the last part is mounted, as the root.
                    for group in (own := mount / path.lstrip("/"), *own.parents):
                        if not group.is_relative_to(mount):
                            break
                        with suppress(OSError, ValueError):  # no such group here, or "max"
                            limit = int((group / files.limit).read_text())
                            if limit < machine:
                                stat = _figures(group / "memory.stat")
                                used = int((group / files.used).read_text())
                                # Read one after the other: between them files may have been read, or dropped.
                                return limit, max(used - stat[files.inactive], 0)
        return None


def _figures(path: Path) -> dict[str, int]:
    """A file of names and numbers a line; those in kB as bytes."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {name: int(value) * (1024 if unit == ["kB"] else 1) for name, value, *unit in rows}
