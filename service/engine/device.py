"""What computes: a device's capacity, who may use it next, and where a model's instances go."""

import asyncio
import importlib.metadata
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.artifact.config import ModelConfig
from service.artifact.instance_group import InstanceGroup

CPU = "cpu"
GPU_TOKENS = 2
OWNED = 5.0
"""Seconds after which a device that only one model has used is taken to be its own."""


class Claimant(Protocol):
    """A scheduler that has batches to run."""

    @property
    def cost(self) -> int:
        """Tokens that one batch takes."""

    @property
    def backlog(self) -> float:
        """Seconds that all it has to compute, waiting or running, will take in one instance after the other."""

    def granted(self) -> None:
        """The tokens of one batch are yours: run it, or release them."""


class Device:
    """Owns a number of tokens: on a CPU its cores, of which a batch takes as many as its instance has threads.

    Whoever finds too few waits; what is given back goes to the claimant that has had least of the device, so that a
    flooded model can't starve a quiet one. Time is counted in seconds of the whole device. Who comes after a pause
    starts where the others are: it can't save up.

    Source: P. Goyal et al., "Start-time Fair Queueing", SIGCOMM 1996.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._free = tokens
        self._waiting: dict[Claimant, None] = {}
        self._active: dict[Claimant, int] = {}
        self._had: dict[Claimant, float] = {}
        self._level = 0.0
        self._last: Claimant | None = None  # who had it last, and since when nobody else has
        self._since = 0.0

    def claim(self, claimant: Claimant) -> bool:
        """Take the tokens of one batch. When that isn't possible now, `granted` is called once it is."""
        cost = self._cost(claimant)
        if self._waiting or self._free < cost:
            self._waiting[claimant] = None
            return False
        self._take(claimant, cost)
        return True

    def release(self, claimant: Claimant, seconds: float = 0.0) -> None:
        """Give the tokens of one batch back, that were used for so long."""
        cost = self._cost(claimant)
        self._free += cost
        self._had[claimant] += seconds * cost / self.tokens
        self._active[claimant] -= 1
        if not self._active[claimant]:
            del self._active[claimant]
        self._grant()

    def renew(self, claimant: Claimant, seconds: float) -> None:
        """The tokens of one batch were used for so long, and go on to another of the same claimant."""
        self._had[claimant] += seconds * self._cost(claimant) / self.tokens
        self._level = max(self._level, self._had[claimant])

    def is_alone(self, claimant: Claimant) -> bool:
        """Whether nobody but this claimant uses the device or waits for it."""
        return not self._waiting and self._active.keys() <= {claimant}

    def is_owned(self, claimant: Claimant) -> bool:
        """Whether nobody but this claimant has used the device for OWNED seconds, or waits for it."""
        return self._last is claimant and not self._waiting and time.monotonic() - self._since > OWNED

    def withdraw(self, claimant: Claimant) -> None:
        """The claimant is gone: it wants nothing any more."""
        if claimant not in self._active:
            self._had.pop(claimant, None)
        if claimant is self._last:
            self._last = None
        if claimant in self._waiting:
            del self._waiting[claimant]
            self._grant()

    def delay(self, claimant: Claimant, seconds: float) -> float:
        """How much longer a claimant's next `seconds` of computing take because of the others, who get as much."""
        if self.is_alone(claimant):
            return 0.0
        others = self._waiting.keys() | self._active.keys()
        return sum(
            min(other.backlog, seconds) * self._cost(other) / self.tokens for other in others if other is not claimant
        )

    def _cost(self, claimant: Claimant) -> int:
        return min(claimant.cost, self.tokens)

    def _take(self, claimant: Claimant, cost: int) -> None:
        self._free -= cost
        if claimant is not self._last:
            self._last, self._since = claimant, time.monotonic()
        self._level = max(self._level, self._start(claimant))
        self._had[claimant] = self._start(claimant)
        self._active[claimant] = self._active.get(claimant, 0) + 1

    def _start(self, claimant: Claimant) -> float:
        return max(self._had.get(claimant, 0.0), self._level)

    def _grant(self) -> None:
        while self._waiting:
            claimant = min(self._waiting, key=self._start)
            cost = self._cost(claimant)
            if self._free < cost:
                return
            del self._waiting[claimant]
            self._take(claimant, cost)
            claimant.granted()


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where one instance runs: a device's name ("cpu", "cuda:0") and its number of compute threads."""

    device: str
    threads: int


class Devices:
    """Owns the devices of this machine: the CPU with one token per core that we may use, GPUs with two each.

    Whoever measures holds `quiet`, so that no two measurements disturb each other.
    """

    def __init__(self, cores: int | None = None, gpus: int | None = None) -> None:
        self.cores = cores or usable_cores()
        self.gpus = _usable_gpus() if gpus is None else gpus
        self._devices: dict[str, Device] = {}
        self.quiet = asyncio.Lock()

    def get(self, name: str) -> Device:
        """The device called `name`."""
        return self._devices.setdefault(name, Device(self.cores if name == CPU else GPU_TOKENS))

    def place(self, config: ModelConfig | None) -> list[list[Placement]]:
        """For each device that the configuration asks for, a placement for each instance there; one instance in all
        when it asks for none.

        An instance on the CPU gets the configured number of threads, or its share of the cores.
        """
        groups = (config.instance_groups if config else ()) or (InstanceGroup(kind="auto", count=1),)
        names = [name for group in groups for name in self._names(group)]
        configured = config.hone.intra_op_threads if config else None
        shared = max(self.cores // max(names.count(CPU), 1), 1)
        return [
            [Placement(device=name, threads=configured or (shared if name == CPU else 1))] * names.count(name)
            for name in dict.fromkeys(names)
        ]

    def split(self, config: ModelConfig | None) -> list[Placement]:
        """An instance of one thread per core; empty where the configuration says otherwise, or it changes nothing."""
        said = config is not None and (config.instance_groups or config.hone.intra_op_threads)
        if said or self.gpus or self.cores < 2:
            return []
        return [Placement(device=CPU, threads=1)] * self.cores

    def review(self, config: ModelConfig | None) -> tuple[str, ...]:
        """A warning for each thing that a configuration asks for and that nothing it is placed on can honour."""
        if config is None or config.hone.remote or not config.hone.cuda_graphs:
            return ()
        if any(placement.device != CPU for placements in self.place(config) for placement in placements):
            return ()
        return (f"{config.origin}: hone.cuda_graphs is ignored: no instance is on a GPU",)

    def tokens(self, device: str, threads: int) -> int:
        """What a batch of an instance with so many threads takes of its device."""
        return threads if device == CPU else 1

    def _names(self, group: InstanceGroup) -> list[str]:
        if group.kind == "cpu" or (group.kind == "auto" and not group.gpus and not self.gpus):
            return [CPU] * group.count
        return [f"cuda:{gpu}" for gpu in group.gpus or range(max(self.gpus, 1)) for _ in range(group.count)]


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Cores that this process may keep busy: those it may run on, or fewer where a container's quota says so."""
    cores = len(os.sched_getaffinity(0))
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):  # version 2, version 1
        try:
            quota, period = " ".join((cgroup / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota.isdecimal():  # else `max` or -1: no quota
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def _usable_gpus() -> int:
    """GPUs that are here and that the installed runtime can use."""
    try:
        importlib.metadata.version("onnxruntime-gpu")
    except importlib.metadata.PackageNotFoundError:
        return 0
    there = len(list(Path("/dev").glob("nvidia[0-9]*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (
        there
        if visible is None
        else min(there, len([one for one in visible.split(",") if one.strip() not in ("", "-1")]))
    )
