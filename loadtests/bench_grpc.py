"""Hone's gRPC door beside those of peers: `python -m loadtests.bench_grpc`, on W1.

Each peer runs beside a Hone that is idle while the peer has its turn. Turns alternate and their order is turned round
every pair; ratios are taken within a pair. The client is Python's own gRPC, as bytes in and out: it costs about as much
as a server, so on two cores no server shows all that it can do.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2

from loadtests import results
from loadtests.contest import Contest
from loadtests.grpc_load import METHOD, GrpcLoad, GrpcLoadError, run
from loadtests.lone import check_answer
from loadtests.peers.environment import PeerError, add_option
from loadtests.peers.peer import PEERS
from loadtests.peers.tally import Tally
from loadtests.process_tree import cpu_seconds, wait_until_idle
from loadtests.raw_runtime import RawRuntime
from loadtests.served import Served, ServerError, hone, leave_on_sigterm
from loadtests.target import Target, told
from loadtests.turns import turned
from loadtests.workloads.catalogue import W1
from loadtests.workloads.workload import Workload

NAME = "bench-grpc"
NAMES = ("kserve", "mlserver")
PACKAGES = ("onnxruntime", "grpcio", "uvloop")
AT_LEAST = 2.0
"""Hone's requests per second, as a multiple of a peer's."""

WARM_SECONDS, TURN_SECONDS = 2.0, 3.0
CALLS = 64
COLUMNS = (
    "peer",
    "requests/s: Hone, peer",
    "Hone over peer [range]",
    "CPU-µs a request: Hone, peer",
    "Hone over peer [range]",
    "one call, p50 ms: Hone, peer",
    "p99 ms: Hone, peer",
)


def main() -> int:
    """Measure, print and write; 1 when a target is missed or a server fails."""
    options = _options()
    leave_on_sigterm()
    print(f"about {len(NAMES) * (40 + options.pairs * 4 * TURN_SECONDS) / 60:.0f} minutes", flush=True)
    entries = {}
    try:
        with Contest.of(W1, chosen=False) as contest:
            for name in NAMES:
                entries[name] = _entry(compare(contest, name, options.environments, options.pairs))
    except (PeerError, ServerError, GrpcLoadError, grpc.RpcError, ValueError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1
    targets = [
        Target(
            what=f"requests/s, as a multiple of {name}'s",
            value=entry["throughput"]["median"],
            limit=AT_LEAST,
            at_least=True,
        )
        for name, entry in entries.items()
    ]
    about = results.circumstances(PACKAGES)
    section = _section(entries, about, targets)
    print(section)
    results.write(NAME, section, {"bench": NAME, **about, "entries": entries})
    return 0 if all(target.met for target in targets) else 1


def request(workload: Workload) -> bytes:
    """One row of the workload as a ModelInferRequest."""
    sample = workload.sample()
    tensor = service_pb2.ModelInferRequest.InferInputTensor(
        name=workload.input.name, datatype=workload.input.datatype, shape=sample.shape
    )
    message: bytes = service_pb2.ModelInferRequest(
        model_name=workload.model, inputs=[tensor], raw_input_contents=[sample.tobytes()]
    ).SerializeToString()
    return message


def compare(contest: Contest, name: str, environments: Path, pairs: int) -> list[dict[str, dict[str, float]]]:
    """Hone and the peer in pairs: of each throughput, processor time and latencies."""
    workload, counts = contest.workload, contest.folder / f"{name}.tally"
    Tally.create(str(counts))
    expected = RawRuntime(contest.model, threads=workload.threads).answer(workload.sample())
    with (
        tempfile.NamedTemporaryFile() as file,
        hone(contest.folder / "models", grpc=True, flags=("--cache-dir", str(contest.folder / "cache"))) as ours,
        PEERS[name].serve(workload, contest.model, environments, counts, grpc=True) as theirs,
    ):
        message = Path(file.name)
        message.write_bytes(request(workload))
        servers = (("hone", ours), (name, theirs))
        for _, served in servers:
            check_answer(_answer(served, message.read_bytes()), expected)
            run(served.grpc_target, message, calls=CALLS, seconds=WARM_SECONDS)
            wait_until_idle(served.pid)
        return [{who: _measured(one, message) for who, one in turned(servers, pair)} for pair in range(pairs)]


def _answer(served: Served, message: bytes) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """The only output, whether it comes as raw bytes or as elements."""
    with grpc.insecure_channel(served.grpc_target) as channel:
        answer = service_pb2.ModelInferResponse.FromString(channel.unary_unary(METHOD)(message, timeout=30))
    raw = answer.raw_output_contents
    values = np.frombuffer(raw[0], np.float32) if raw else np.array(answer.outputs[0].contents.fp32_contents)
    return values.astype(np.float64).reshape(tuple(answer.outputs[0].shape))


def _measured(served: Served, message: Path) -> dict[str, float]:
    alone = run(served.grpc_target, message, calls=1, seconds=TURN_SECONDS / 3)
    before = cpu_seconds(served.pid)
    load: GrpcLoad = run(served.grpc_target, message, calls=CALLS, seconds=TURN_SECONDS)
    used = cpu_seconds(served.pid) - before
    wait_until_idle(served.pid)
    return {
        "throughput": load.throughput,
        "cpu_micros": used / load.requests * 1e6,
        "p99_ms": load.p99_ms,
        "alone_ms": alone.p50_ms,
    }


def _entry(pairs: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    (peer,) = pairs[0].keys() - {"hone"}
    found: dict[str, Any] = {
        who: {key: statistics.median(pair[who][key] for pair in pairs) for key in pairs[0]["hone"]}
        for who in ("hone", peer)
    }
    for key in ("throughput", "cpu_micros"):
        ratios = sorted(pair["hone"][key] / pair[peer][key] for pair in pairs)
        found[key] = {"median": statistics.median(ratios), "least": ratios[0], "most": ratios[-1]}
    return {**found, "peer": peer, "pairs": list(pairs)}


def _section(entries: dict[str, dict[str, Any]], about: dict[str, Any], targets: Sequence[Target]) -> str:
    rows = []
    for name, entry in entries.items():
        ours, theirs = entry["hone"], entry[name]
        rows.append(
            (
                f"{name} {PEERS[name].version()}",
                f"{ours['throughput']:,.0f}, {theirs['throughput']:,.0f}",
                _ratio(entry["throughput"]),
                f"{ours['cpu_micros']:,.0f}, {theirs['cpu_micros']:,.0f}",
                _ratio(entry["cpu_micros"]),
                f"{ours['alone_ms']:.2f}, {theirs['alone_ms']:.2f}",
                f"{ours['p99_ms']:.1f}, {theirs['p99_ms']:.1f}",
            )
        )
    pairs = len(next(iter(entries.values()))["pairs"])
    return f"""\
## gRPC: {W1.title}, {CALLS} calls under way

{results.told(about)}

`python -m loadtests.bench_grpc`: ModelInfer with raw contents; medians of {pairs} interleaved pairs. The client shares
the cores.

{results.table(COLUMNS, rows)}
{told([target.figures() for target in targets])}
"""


def _ratio(found: dict[str, float]) -> str:
    return f"**{found['median']:.2f}** [{found['least']:.2f}-{found['most']:.2f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_grpc", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="interleaved pairs with each peer (5)")
    add_option(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
