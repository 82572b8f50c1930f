"""Hone beside its peers: `make bench-peers` measures each in turns with Hone, on the same file and the same bodies.

Each peer is installed in an environment of its own, started next to a Hone that is idle while the peer has its turn,
and has to answer right before it is timed. Turns alternate and their order is turned round every pair, so that a busy
neighbour hits both; ratios are taken within a pair, and each pair holds a moment of bare ONNX Runtime too. What decides
is the processor time of the server's process tree per request: on shared cores throughput jumps by a factor of two
within seconds.

`--only mosec,litserve` and `--workloads W1,W3` measure some. Each comparison is written as soon as it is made and
renews its own row alone, so a whole may be measured in parts, and goes on after a stop with what is missing.
`--chosen` lets Hone choose its runtime by measurement first, for rows of their own.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from loadtests import instruments, peers_report, wrk
from loadtests.contest import BATCHES, CEILING_SECONDS, SWEEP_SECONDS, Contest, forecast, pairs_of
from loadtests.instruments import Batches
from loadtests.peers.environment import PeerError, add_option
from loadtests.peers.peer import PEERS, Peer
from loadtests.peers.tally import Tally
from loadtests.peers_report import Measured, Pair
from loadtests.raw_runtime import RawRuntime
from loadtests.rival import Alone, Rival
from loadtests.served import ServerError, hone, leave_on_sigterm
from loadtests.turns import turned
from loadtests.workloads.catalogue import WORKLOADS, chosen
from loadtests.workloads.workload import Workload


def main() -> int:
    """Measure, print and write; 1 when a target is missed."""
    options = _options()
    leave_on_sigterm()
    print(_plan(options), flush=True)
    met = [_measure(workload, options) for workload in options.workloads]
    print(peers_report.section(peers_report.entries()))
    return 0 if all(met) else 1


def _measure(workload: Workload, options: argparse.Namespace) -> bool:
    """Every peer on one workload; False when a target is missed."""
    met = True
    try:
        with Contest.of(workload, chosen=options.chosen) as contest:
            for peer in options.only:
                found = _entry(contest, peer, options)
                peers_report.write(contest.name, peer.name, found)
                print(peers_report.line(found), flush=True)
                met = met and found["met"]
    except (ServerError, subprocess.TimeoutExpired) as error:
        print(f"{workload.name}: {error}", file=sys.stderr)
        return False
    return met


def _entry(contest: Contest, peer: Peer, options: argparse.Namespace) -> dict[str, Any]:
    """What the comparison came to, or why there was none; that is no target missed, unless Hone is to blame."""
    try:
        pairs = compare(contest, peer, options.environments, options.pairs or pairs_of(contest.workload))
    except PeerError as error:
        return peers_report.absent(contest.name, peer, str(error), met=True)
    except (OSError, ServerError, ValueError, wrk.WrkError) as error:
        return peers_report.absent(contest.name, peer, f"Hone failed: {error}", met=False)
    return peers_report.entry(contest.name, peer, pairs)


def compare(contest: Contest, peer: Peer, environments: Path, pairs: int) -> list[Pair]:
    """Hone and the peer on the contest's model, in pairs.

    Raises PeerError when it is the peer that fails; ServerError, ValueError or WrkError when it is Hone.
    """
    workload, counts = contest.workload, contest.folder / f"{peer.name}.tally"
    request = peer.requests(workload)
    runtime, tally = RawRuntime(contest.model, threads=workload.threads), Tally.create(str(counts))
    flags = ("--cache-dir", str(contest.folder / "cache"))
    with (
        hone(contest.folder / "models", flags=flags) as served,
        peer.serve(workload, contest.model, environments, counts) as other,
    ):
        ours = Rival(
            name="hone",
            served=served,
            request=workload.request(),
            batches=lambda: instruments.batches(served.metrics_url, workload.model),
        )
        theirs = Rival(
            name=peer.name,
            served=other,
            request=request,
            batches=lambda: _counted(tally),
            output=peer.output,
            peer=True,
        )
        expected = runtime.answer(workload.sample())
        for rival in (ours, theirs):
            rival.prove(workload, expected, contest.tolerance)
        best, *_ = runtime.best_batches(workload.sample(), BATCHES, SWEEP_SECONDS)
        return [_pair(contest, (ours, theirs), runtime, best, turn) for turn in range(pairs)]


def _counted(tally: Tally) -> Batches:
    batches, rows = tally.read()
    return Batches(rows=rows, batches=batches)


def _pair(contest: Contest, rivals: tuple[Rival, Rival], runtime: RawRuntime, best: int, pair: int) -> Pair:
    """Each alone, then in turns under load, then the runtime in batches of `best`; Hone is the first of the rivals."""
    workload = contest.workload
    alone: dict[str, Alone] = {}
    loads: dict[str, list[wrk.Load]] = {rival.name: [] for rival in rivals}
    used = dict.fromkeys(loads, 0.0)
    for rival in turned(rivals, pair):
        alone[rival.name] = rival.alone(workload, runtime)
    before = {rival.name: rival.batches() for rival in rivals}
    for turn in range(contest.turns):
        for rival in turned(rivals, pair + turn):
            used[rival.name] -= rival.used()
            loads[rival.name].append(rival.load(workload, workload.turn))
            used[rival.name] += rival.used()
            rival.rest()
    ours, theirs = (
        Measured.of(
            rival.name,
            loads[rival.name],
            cpu=used[rival.name],
            alone=alone[rival.name],
            mean_batch=rival.batches().mean_since(before[rival.name]),
        )
        for rival in rivals
    )
    raw = runtime.rate(workload.sample(), best, CEILING_SECONDS)
    return Pair(ours=ours, theirs=theirs, raw_rate=raw, raw_batch=best)


def _plan(options: argparse.Namespace) -> str:
    """What will be measured, and about how long it takes once everything is installed."""
    seconds = {
        workload.name: sum(forecast(workload, peer, options.pairs or pairs_of(workload)) for peer in options.only)
        for workload in options.workloads
    }
    each = ", ".join(f"{name} {taken / 60:.0f}" for name, taken in seconds.items())
    return f"about {sum(seconds.values()) / 60:.0f} minutes once the peers are installed ({each})"


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
    parser.add_argument("--pairs", type=int, help="interleaved pairs of each comparison (W1 and W2 8, others 3)")
    parser.add_argument("--chosen", action="store_true", help="let Hone choose runtime and precision first (W3, W4)")
    add_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
