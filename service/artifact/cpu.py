"""The CPU of this machine, as the kernel describes it, and what it lacks of the one that a card speaks of."""

from functools import cache
from pathlib import Path

from service.artifact.card import Machine

_CPU_INFO = Path("/proc/cpuinfo")


@cache
def cpu_field(name: str) -> str | None:
    """What the kernel says of the first core under this name; None where it says nothing."""
    if not _CPU_INFO.exists():
        return None
    for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def cpu_flags() -> frozenset[str]:
    """The CPU's feature flags as the kernel names them; empty where it doesn't list them."""
    return frozenset((cpu_field("flags") or "").split())


def missing_instructions(machine: Machine, flags: frozenset[str]) -> tuple[str, ...]:
    """Which instruction sets decided what ran on `machine`, and aren't among the `flags` of another CPU."""
    return tuple(flag for flag in machine.cpu_flags if flag not in flags)
