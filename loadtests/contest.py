"""What is compared on a workload: the model that a peer is given, and the repository that Hone serves."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from loadtests.peers.peer import Peer
from loadtests.rival import LONE_SECONDS, WARM_SECONDS
from loadtests.served import ROOT, ServerError
from loadtests.workloads.cache import write_repository
from loadtests.workloads.workload import Workload

CHOSEN = " chosen"
"""Behind the name of a workload for which Hone's runtime was chosen by measurement."""

PAIR_SECONDS = 3
"""Load that each server has in a pair at least, in turns of a workload's own length."""

CEILING_SECONDS = 1.0
BATCHES = (1, 4, 8, 16, 32)
SWEEP_SECONDS = 0.3
BEGIN_SECONDS = 15.0
"""What it takes both servers to start and to stop, about: a minute for Ray, a few seconds for others."""

PROFILE_SECONDS = 300
LIGHT_PAIRS, HEAVY_PAIRS = 8, 3
EXACT, ALIKE = 1e-3, 1e-2


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """A workload, the file that the peers get, and the folder that holds Hone's repository and its cache.

    Answers may differ from the runtime's by `tolerance`, a share of the largest value.
    """

    name: str
    workload: Workload
    model: Path
    folder: Path
    tolerance: float

    @classmethod
    @contextmanager
    def of(cls, workload: Workload, *, chosen: bool) -> Iterator[Self]:
        """For as long as the block; `chosen`: Hone's runtime is what `hone-serve profile` chose. Raises ServerError."""
        with TemporaryDirectory(prefix="hone-bench-") as scratch:
            folder = Path(scratch)
            model = write_repository(folder / "models", workload)
            if chosen:
                _choose(folder / "models", workload)
            yield cls(
                name=workload.name + (CHOSEN if chosen else ""),
                workload=workload,
                model=model,
                folder=folder,
                tolerance=ALIKE if chosen else EXACT,
            )

    @property
    def turns(self) -> int:
        """Turns that each server has in a pair."""
        return max(1, round(PAIR_SECONDS / self.workload.turn))


def pairs_of(workload: Workload) -> int:
    """How many pairs are enough: a turn of a network that computes for long averages over seconds itself."""
    return HEAVY_PAIRS if workload.slow else LIGHT_PAIRS


def forecast(workload: Workload, peer: Peer, pairs: int) -> float:
    """Seconds that a comparison takes, about; 0 for a peer that can't have the workload."""
    if workload.wire not in peer.takes:
        return 0.0
    pair = 2 * LONE_SECONDS + CEILING_SECONDS + 2 * max(PAIR_SECONDS, workload.turn)
    return BEGIN_SECONDS + 2 * WARM_SECONDS + len(BATCHES) * SWEEP_SECONDS + pairs * pair


def _choose(repository: Path, workload: Workload) -> None:
    """Let the service measure its runtimes on this machine and write the best into the model's configuration."""
    words = ["profile", workload.model, "--model-repository", str(repository), "--write"]
    done = subprocess.run(
        [sys.executable, "-m", "service", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PROFILE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise ServerError(f"hone-serve profile failed: {(done.stdout + done.stderr).strip()[-500:]}")
