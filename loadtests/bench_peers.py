"""Hone beside its peers: `make bench-peers` measures each in turns with Hone, on the same file and the same bodies.

Each peer is installed in an environment of its own, started next to a Hone that is idle while the peer has its turn,
and has to answer right before it is timed. Turns alternate and their order is turned round every pair, so that a busy
neighbour hits both; ratios are taken within a pair. What decides is the processor time of the server's process tree per
request: on shared cores throughput jumps by a factor of two within seconds.
`--only mosec,litserve` and `--workloads W1,W3` measure some, and renew their rows alone.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests import peers_report, wrk
from loadtests.lone import check_answer, first_answer, lone
from loadtests.peers.environment import PeerError
from loadtests.peers.peer import PEERS, Peer
from loadtests.peers_report import Measured
from loadtests.process_tree import cpu_seconds
from loadtests.raw_runtime import RawRuntime
from loadtests.request import Request, output_of
from loadtests.served import ROOT, Served, ServerError, hone, leave_on_sigterm
from loadtests.turns import turned
from loadtests.workloads.cache import write_repository
from loadtests.workloads.catalogue import WORKLOADS, chosen
from loadtests.workloads.workload import Workload

WARM_SECONDS = 2
LONE_SECONDS = 2.0
PAIR_SECONDS = 5
"""Load that each server has in a pair at least, in turns of a workload's own length."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rival:
    """A running server, what it is sent, and how its answers are read."""

    name: str
    served: Served
    request: Request
    output: Callable[[bytes], NDArray[np.float64]] = output_of
    peer: bool = False

    def alone(self, workload: Workload, runtime: RawRuntime) -> float:
        """Median milliseconds of a lone request. Raises PeerError for a peer, OSError or ValueError for Hone."""
        try:
            found = lone(self.served.url, self.request, runtime, workload.sample(), seconds=LONE_SECONDS)
        except (OSError, ValueError) as error:
            if self.peer:
                raise PeerError(f"failed alone: {error}") from error
            raise
        return statistics.median(found.requests) * 1e3

    def load(self, workload: Workload, seconds: int) -> wrk.Load:
        """So many seconds of load. Raises WrkError for Hone, PeerError for a peer; a peer may refuse some of it."""
        try:
            return wrk.run(
                self.served.url,
                self.request,
                connections=workload.connections,
                seconds=seconds,
                slow=workload.slow,
                refusals=self.peer,
            )
        except wrk.WrkError as error:
            if self.peer:
                raise PeerError(f"failed under load: {error}") from error
            raise


def main() -> int:
    """Measure, print and write; 1 when a target is missed."""
    options = _options()
    leave_on_sigterm()
    met = True
    for workload in options.workloads:
        found = {}
        with tempfile.TemporaryDirectory(prefix="hone-bench-") as scratch:
            model = write_repository(Path(scratch, "models"), workload)
            for peer in options.only:
                found[peer.name] = _entry(workload, peer, model, options)
                print(peers_report.line(found[peer.name]), flush=True)
        peers_report.write(workload.name, found)
        met = met and all(one["met"] for one in found.values())
    print(peers_report.section(peers_report.entries()))
    return 0 if met else 1


def _entry(workload: Workload, peer: Peer, model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What the comparison came to, or why there was none; that is no target missed, unless Hone is to blame."""
    try:
        pairs = compare(workload, peer, model, options.environments, options.pairs)
    except PeerError as error:
        return peers_report.absent(workload, peer, str(error), met=True)
    except (OSError, ServerError, ValueError, wrk.WrkError) as error:
        return peers_report.absent(workload, peer, f"Hone failed: {error}", met=False)
    return peers_report.entry(workload, peer, pairs)


def compare(
    workload: Workload, peer: Peer, model: Path, environments: Path, pairs: int
) -> list[tuple[Measured, Measured]]:
    """Hone and the peer on the repository that holds `model`, in pairs.

    Raises PeerError when it is the peer that fails; ServerError, ValueError or WrkError when it is Hone.
    """
    request = peer.requests(workload)
    runtime = RawRuntime(model, threads=workload.threads)
    repository = model.parents[2]
    flags = ("--cache-dir", str(repository.parent / "cache"))
    with hone(repository, flags=flags) as served, peer.serve(workload, model, environments) as other:
        ours = Rival(name="hone", served=served, request=workload.request())
        theirs = Rival(name=peer.name, served=other, request=request, output=peer.output, peer=True)
        expected = runtime.answer(workload.sample())
        _prove(ours, workload, expected)
        try:
            _prove(theirs, workload, expected)
        except (OSError, ValueError) as error:
            raise PeerError(f"answers wrong: {error}") from error
        return [_pair(workload, ours, theirs, runtime, turn) for turn in range(pairs)]


def _prove(rival: Rival, workload: Workload, expected: NDArray[np.float32]) -> None:
    """Check an answer, then warm up."""
    check_answer(rival.output(first_answer(rival.served.url, rival.request)), expected)
    rival.load(workload, WARM_SECONDS)


def _pair(workload: Workload, ours: Rival, theirs: Rival, runtime: RawRuntime, pair: int) -> tuple[Measured, Measured]:
    """Each alone, then in turns under load; Hone's measurement first."""
    rivals = {rival.name: rival for rival in (ours, theirs)}
    alone: dict[str, float] = {}
    loads: dict[str, list[wrk.Load]] = {name: [] for name in rivals}
    used = dict.fromkeys(rivals, 0.0)
    for name in turned(list(rivals), pair):
        alone[name] = rivals[name].alone(workload, runtime)
    for turn in range(max(1, round(PAIR_SECONDS / workload.turn))):
        for name in turned(list(rivals), pair + turn):
            before = cpu_seconds(rivals[name].served.pid)
            loads[name].append(rivals[name].load(workload, workload.turn))
            used[name] += cpu_seconds(rivals[name].served.pid) - before
    first, second = (Measured.of(name, loads[name], used[name], alone[name]) for name in rivals)
    return first, second


def _peers(names: str) -> list[Peer]:
    unknown = [name for name in names.split(",") if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: no such peer; there are {', '.join(PEERS)}")
    return [PEERS[name] for name in names.split(",")]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_peers", description=__doc__)
    everybody, everything = ",".join(PEERS), ",".join(name for name in WORKLOADS if name != "W5")
    parser.add_argument("--only", type=_peers, default=everybody, help=f"which peers, of {everybody} (all)")
    parser.add_argument("--workloads", type=chosen, default=everything, help=f"which workloads ({everything})")
    parser.add_argument("--pairs", type=int, default=8, help="interleaved pairs of each comparison (8)")
    parser.add_argument(
        "--environments",
        type=Path,
        default=ROOT / "runs" / "peers",
        help="where the peers are installed (runs/peers)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
