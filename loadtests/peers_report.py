"""What the comparisons with peers come to: medians of pairs against the targets, as JSON and as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from loadtests import results, wrk
from loadtests.peers.environment import pinned
from loadtests.peers.peer import PEERS, Peer
from loadtests.target import Target, told
from loadtests.workloads.catalogue import WORKLOADS
from loadtests.workloads.workload import Workload

NAME = "bench-peers"
PACKAGES = ("onnxruntime", "uvicorn", "uvloop", "httptools", "orjson")
LIGHT, HEAVY = ("W1", "W2"), ("W3", "W4", "W4-uint8")
CPU, THROUGHPUT = 0.8, 1.15
"""Hone's processor time per request and throughput, as shares of a peer's, where the network computes little."""

NEVER_BEHIND = 1.0
"""Its throughput, where the network computes for milliseconds."""

ALONE = ("W1", "mosec", 0.1)
"""What a lone request may take, as a share of that peer's."""

COLUMNS = (
    "peer",
    "requests/s: Hone, peer",
    "Hone over peer [range]",
    "CPU-µs a request: Hone, peer",
    "Hone over peer [range]",
    "one connection, p50 ms: Hone, peer",
    "p50 ms: Hone, peer",
    "refused",
    "commit",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One server in one pair. Percentiles are medians of the turns' own; `refused` is a share of all requests."""

    server: str
    cpu_micros: float
    throughput: float
    p50_ms: float
    p99_ms: float
    refused: float
    alone_p50_ms: float

    @classmethod
    def of(cls, server: str, loads: Sequence[wrk.Load], cpu: float, alone_p50_ms: float) -> Self:
        """The turns of a pair together; `cpu` in seconds."""
        requests, refused = sum(load.requests for load in loads), sum(load.refused for load in loads)
        seconds = sum(load.seconds for load in loads)
        return cls(
            server=server,
            cpu_micros=cpu / requests * 1e6,
            throughput=sum(load.throughput * load.seconds for load in loads) / seconds,
            p50_ms=statistics.median(load.p50_ms for load in loads),
            p99_ms=statistics.median(load.p99_ms for load in loads),
            refused=refused / (requests + refused),
            alone_p50_ms=alone_p50_ms,
        )


def entry(workload: Workload, peer: Peer, pairs: Sequence[tuple[Measured, Measured]]) -> dict[str, Any]:
    """A comparison's part of the twin: ratios are Hone's value over the peer's."""
    summary = {
        key: _ratios([getattr(ours, key) / getattr(theirs, key) for ours, theirs in pairs])
        for key in ("cpu_micros", "throughput", "alone_p50_ms")
    }
    targets = _targets(workload.name, peer.name, {key: one["median"] for key, one in summary.items()})
    return {
        **_about(workload, peer),
        "pairs": [[asdict(one) for one in pair] for pair in pairs],
        "ratios": summary,
        "targets": [one.figures() for one in targets],
        "met": all(one.met for one in targets),
    }


def absent(workload: Workload, peer: Peer, reason: str, *, met: bool) -> dict[str, Any]:
    """The same where there was nothing to compare, and whether Hone had met its targets all the same."""
    return {**_about(workload, peer), "reason": " ".join(reason.split()), "targets": [], "met": met}


def entries() -> dict[str, dict[str, Any]]:
    """Everything that was measured on this machine so far, by workload and peer."""
    found: dict[str, Any] = results.twin(NAME).get("comparisons", {})
    return {workload: dict(results.here(ones)) for workload, ones in found.items()}


def write(workload: str, found: Mapping[str, Any]) -> None:
    """Renew the comparisons `found` by peer of a workload, and the section."""
    old = entries()
    old[workload] = {**old.get(workload, {}), **found}
    results.write(NAME, section(old), {"bench": NAME, "comparisons": old})


def section(all_entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The section of RESULTS.md."""
    known = {name: all_entries[name] for name in WORKLOADS if name in all_entries}
    newest = max((one for ones in known.values() for one in ones.values()), key=lambda one: str(one["date"]))
    versions = {name: one["version"] for ones in known.values() for name, one in ones.items()}
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    tables = "\n".join(_workload(name, ones) for name, ones in known.items())
    return f"""\
## Hone beside its peers

{results.told(newest)}

{peers}

`make bench-peers`: the same file, threads and largest batch for both servers of a pair, the same body where the peer
takes it; a delay of 2 ms for those that batch with a timer. Turns ABBA, wrk on the same cores; medians.

{tables}"""


def line(one: Mapping[str, Any]) -> str:
    """One comparison, for whoever waits at the terminal."""
    cells = "  ".join(f"{name}: {cell}" for name, cell in zip(COLUMNS, _row(one), strict=True) if cell)
    return f"{one['workload']}  {cells}"


def _workload(name: str, ones: Mapping[str, Mapping[str, Any]]) -> str:
    workload = WORKLOADS[name]
    ordered = [ones[peer] for peer in PEERS if peer in ones]
    rows = [_row(one) for one in ordered]
    threads = "1 thread" if workload.threads == 1 else f"{workload.threads} threads"
    verdicts = told([target for one in ordered for target in one["targets"]])
    return f"""\
### {name}: {workload.title}; {workload.connections} connections, {threads}

{results.table(COLUMNS, rows)}
{verdicts}"""


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    if "reason" in one:
        return (one["peer"], one["reason"], *[""] * (len(COLUMNS) - 3), one["commit"])
    refused = statistics.median(theirs["refused"] for _, theirs in one["pairs"])
    return (
        one["peer"],
        _both(one, "throughput", "{:,.0f}"),
        _range(one["ratios"]["throughput"]),
        _both(one, "cpu_micros", "{:,.1f}"),
        _range(one["ratios"]["cpu_micros"]),
        _both(one, "alone_p50_ms", "{:.2f}"),
        _both(one, "p50_ms", "{:.2f}"),
        f"{refused:.1%}" if refused else "",
        one["commit"],
    )


def _both(one: Mapping[str, Any], key: str, text: str) -> str:
    ours, theirs = (statistics.median(pair[side][key] for pair in one["pairs"]) for side in (0, 1))
    return f"{text.format(ours)}, {text.format(theirs)}"


def _ratios(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _range(ratio: Mapping[str, float]) -> str:
    return f"**{ratio['median']:.2f}** [{ratio['least']:.2f}-{ratio['most']:.2f}]"


def _targets(workload: str, peer: str, ratios: Mapping[str, float]) -> list[Target]:
    about = f"{workload} against {peer}"
    found = []
    if workload in LIGHT:
        found.append(Target(what=f"{about}: CPU time a request", value=ratios["cpu_micros"], limit=CPU))
    if workload in (*LIGHT, *HEAVY):
        least = THROUGHPUT if workload in LIGHT else NEVER_BEHIND
        found.append(Target(what=f"{about}: throughput", value=ratios["throughput"], limit=least, at_least=True))
    if (workload, peer) == ALONE[:2]:
        found.append(Target(what=f"{about}: a lone request", value=ratios["alone_p50_ms"], limit=ALONE[2]))
    return found


def _about(workload: Workload, peer: Peer) -> dict[str, Any]:
    return {
        "workload": workload.name,
        "peer": peer.name,
        "version": peer.version(),
        "pinned": pinned(peer.name),
        **results.circumstances(PACKAGES),
    }
