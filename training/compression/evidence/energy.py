"""Energy by the processor's own counters (RAPL), as Linux shows them under /sys/class/powercap.

They count all that a package does, whoever asked for it: figures of a machine that does something else as well mean
little. Most virtual machines have none, and without root they are mostly unreadable.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


@dataclass(frozen=True, kw_only=True)
class Energy:
    """`joules` of all packages in so many `seconds`; None where they can't be read, for the `reason`."""

    joules: float | None
    seconds: float
    reason: str | None = None


def energy(work: Callable[[], None], *, folder: Path = POWERCAP) -> Energy:
    """What is used while `work` runs once: let it take seconds, as a counter is renewed every millisecond or so.

    A counter that begins anew within is noticed, once. Where nothing can be read, nothing is done.
    """
    before = _read(folder)
    if isinstance(before, str):
        return Energy(joules=None, seconds=0.0, reason=before)
    begun = time.perf_counter()
    work()
    seconds = time.perf_counter() - begun
    after = _read(folder)
    if isinstance(after, str):
        return Energy(joules=None, seconds=seconds, reason=after)
    used = sum(_used(before[zone], after[zone]) for zone in before)
    return Energy(joules=used * 1e-6, seconds=seconds)


_Counter = tuple[int, int]
"""Microjoules, and those at which it begins anew."""


def _read(folder: Path) -> dict[str, _Counter] | str:
    """The counters of packages by their names, those within them left out; or why there are none."""
    zones = sorted(zone for zone in folder.glob("intel-rapl:*") if zone.name.count(":") == 1)
    if not zones:
        return "the machine shows no energy counters (RAPL)"
    try:
        return {zone.name: (_number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")) for zone in zones}
    except OSError as error:
        return f"the machine's energy counters (RAPL) can't be read: {error.strerror}"


def _used(before: _Counter, after: _Counter) -> int:
    grown = after[0] - before[0]
    return grown if grown >= 0 else grown + before[1]


def _number(file: Path) -> int:
    return int(file.read_text(encoding="utf-8"))
