"""What computes: a device's capacity, who may use it next, and where a model's instances go."""

import importlib.metadata
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.artifact.config import InstanceGroup, ModelConfig
from service.errors import ArtifactError

CPU = "cpu"
GPU_TOKENS = 2


class Claimant(Protocol):
    """A scheduler that has a batch to run."""

    @property
    def earliest_deadline(self) -> float:
        """The tightest deadline among what waits, in `time.monotonic()` seconds."""

    @property
    def cost(self) -> int:
        """Tokens that one batch takes."""

    def granted(self) -> None:
        """The tokens of one batch are yours: run it, or release them."""


class Device:
    """Owns a number of tokens: on a CPU its cores, of which a batch takes as many as its instance has threads.

    Whoever finds too few waits; what is given back goes to the waiting claimant with the earliest deadline, over all
    models, so that a busy model can't starve an urgent one.
    """

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._free = tokens
        self._waiting: dict[Claimant, None] = {}

    def claim(self, claimant: Claimant) -> bool:
        """Take the tokens of one batch. When that isn't possible now, `granted` is called once it is."""
        cost = min(claimant.cost, self.tokens)
        if self._waiting or self._free < cost:
            self._waiting[claimant] = None
            return False
        self._free -= cost
        return True

    def release(self, claimant: Claimant) -> None:
        """Give the tokens of one batch back."""
        self._free += min(claimant.cost, self.tokens)
        self._grant()

    def withdraw(self, claimant: Claimant) -> None:
        """The claimant wants nothing any more."""
        if claimant in self._waiting:
            del self._waiting[claimant]
            self._grant()

    def _grant(self) -> None:
        while self._waiting:
            claimant = min(self._waiting, key=lambda waiting: waiting.earliest_deadline)
            cost = min(claimant.cost, self.tokens)
            if self._free < cost:
                return
            del self._waiting[claimant]
            self._free -= cost
            claimant.granted()


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where one instance runs: a device's name ("cpu", "cuda:0") and its number of compute threads."""

    device: str
    threads: int


class Devices:
    """Owns the devices of this machine: the CPU with one token per core that we may use, GPUs with two each."""

    def __init__(self, cores: int | None = None, gpus: int | None = None) -> None:
        self.cores = cores or usable_cores()
        self.gpus = _usable_gpus() if gpus is None else gpus
        self._devices: dict[str, Device] = {}

    def get(self, name: str) -> Device:
        """The device called `name`."""
        return self._devices.setdefault(name, Device(self.cores if name == CPU else GPU_TOKENS))

    def place(self, config: ModelConfig | None) -> list[Placement]:
        """A placement for each instance that the configuration asks for; one instance when it asks for none.

        An instance on the CPU gets the configured number of threads, or its share of the cores. Raises ArtifactError
        when the instances would be on more than one device.
        """
        groups = (config.instance_groups if config else ()) or (InstanceGroup(kind="auto", count=1),)
        names = [name for group in groups for name in self._names(group)]
        if len(set(names)) > 1:
            raise ArtifactError(f"instance_group: instances on {', '.join(sorted(set(names)))}; use one device a model")
        configured = config.hone.intra_op_threads if config else None
        threads = configured or (max(self.cores // len(names), 1) if names[0] == CPU else 1)
        return [Placement(device=name, threads=threads) for name in names]

    def _names(self, group: InstanceGroup) -> list[str]:
        if group.kind == "cpu" or (group.kind == "auto" and not group.gpus and not self.gpus):
            return [CPU] * group.count
        return [f"cuda:{gpu}" for gpu in group.gpus or (0,) for _ in range(group.count)]


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
    return len(list(Path("/dev").glob("nvidia[0-9]*")))
