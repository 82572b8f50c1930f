"""What the comparisons with peers come to: medians of pairs against the targets, as JSON and as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from loadtests import results, wrk
from loadtests.contest import CHOSEN
from loadtests.peers.environment import pinned
from loadtests.peers.peer import PEERS, Peer
from loadtests.rival import Alone
from loadtests.target import Target, told
from loadtests.workloads.catalogue import WORKLOADS

NAME = "bench-peers"
PACKAGES = ("onnxruntime", "uvicorn", "uvloop", "httptools", "orjson")
LIGHT, HEAVY = ("W1", "W2"), ("W3", "W4", "W4-uint8")
CPU, THROUGHPUT = 0.8, 1.15
"""Hone's processor time per request and throughput, as shares of a peer's, where the network computes little."""

NEVER_BEHIND = 1.0
"""Its throughput, where the network computes for milliseconds."""

BY_CHOICE = 1.5
"""The same where Hone's runtime was chosen by measurement, of W3 and W4."""

CEILING = 0.97
"""Its throughput as a share of bare ONNX Runtime's at its best batch, where the network computes for milliseconds."""

ALONE = ("W1", "mosec", 0.1)
"""What a lone request may take, as a share of that peer's."""

COLUMNS = (
    "peer",
    "requests/s: Hone, peer",
    "Hone over peer [range]",
    "CPU-µs a request: Hone, peer",
    "Hone over peer [range]",
    "one connection, p50 ms: Hone, peer (`session.run`)",
    "p50 ms: Hone, peer",
    "p99 ms: Hone, peer",
    "rows a batch: Hone, peer",
    "bare ONNX Runtime, rows/s @batch",
    "Hone over it",
    "refused",
    "commit",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One server in one pair. Percentiles are medians of the turns' own; `refused` is a share of all requests.

    `run_p50_ms` is `session.run` between its lone requests; `mean_batch` is nan for a server that doesn't say.
    """

    server: str
    cpu_micros: float
    throughput: float
    p50_ms: float
    p99_ms: float
    refused: float
    alone_p50_ms: float
    run_p50_ms: float
    mean_batch: float

    @classmethod
    def of(cls, server: str, loads: Sequence[wrk.Load], *, cpu: float, alone: Alone, mean_batch: float) -> Self:
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
            alone_p50_ms=alone.request,
            run_p50_ms=alone.run,
            mean_batch=mean_batch,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Hone and the peer within a minute, and the rows per second of bare ONNX Runtime in batches of `raw_batch`."""

    ours: Measured
    theirs: Measured
    raw_rate: float
    raw_batch: int


def entry(name: str, peer: Peer, pairs: Sequence[Pair]) -> dict[str, Any]:
    """A comparison's part of the twin, of the contest `name`: ratios are Hone's value over the peer's."""
    summary = {
        key: _ratios([getattr(pair.ours, key) / getattr(pair.theirs, key) for pair in pairs])
        for key in ("cpu_micros", "throughput", "alone_p50_ms")
    }
    summary["ceiling"] = _ratios([pair.ours.throughput / pair.raw_rate for pair in pairs])
    targets = _targets(name, peer.name, {key: one["median"] for key, one in summary.items()})
    return {
        **_about(name, peer),
        "pairs": [asdict(pair) for pair in pairs],
        "ratios": summary,
        "targets": [one.figures() for one in targets],
        "met": all(one.met for one in targets),
    }


def absent(name: str, peer: Peer, reason: str, *, met: bool) -> dict[str, Any]:
    """The same where there was nothing to compare, and whether Hone had met its targets all the same."""
    return {**_about(name, peer), "reason": " ".join(reason.split()), "targets": [], "met": met}


def entries() -> dict[str, dict[str, Any]]:
    """Everything that was measured on this machine so far, by contest and peer."""
    found: dict[str, Any] = results.twin(NAME).get("comparisons", {})
    return {workload: dict(results.here(ones)) for workload, ones in found.items()}


def write(name: str, peer: str, found: Mapping[str, Any]) -> None:
    """Renew one comparison of a contest, and the section; all others stay."""
    old = entries()
    old[name] = {**old.get(name, {}), peer: dict(found)}
    results.write(NAME, section(old), {"bench": NAME, "comparisons": old})


def section(all_entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The section of RESULTS.md."""
    names = [one for name in WORKLOADS for one in (name, name + CHOSEN)]
    known = {name: all_entries[name] for name in names if all_entries.get(name)}
    if not known:
        return ""
    newest = max((one for ones in known.values() for one in ones.values()), key=lambda one: str(one["date"]))
    versions = {name: one["version"] for ones in known.values() for name, one in ones.items()}
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    tables = "\n".join(_workload(name, ones) for name, ones in known.items())
    return f"""\
## Hone beside its peers

{results.told(newest)}

{peers}

`make bench-peers`: the same file, threads and largest batch for both servers of a pair, the same body where the peer
takes it; a delay of 2 ms for those that batch with a timer. Turns ABBA, wrk on the same cores; medians. CPU time is
that of the process tree. Each pair holds a second of bare ONNX Runtime; a row has the commit that it was measured at.

{tables}"""


def line(one: Mapping[str, Any]) -> str:
    """One comparison, for whoever waits at the terminal."""
    cells = "  ".join(f"{name}: {cell}" for name, cell in zip(COLUMNS, _row(one), strict=True) if cell)
    return f"{one['workload']}  {cells}"


def _workload(name: str, ones: Mapping[str, Mapping[str, Any]]) -> str:
    workload = WORKLOADS[name.removesuffix(CHOSEN)]
    by_choice = "; Hone with the runtime that `hone-serve profile --write` chose" if name.endswith(CHOSEN) else ""
    ordered = [ones[peer] for peer in PEERS if peer in ones]
    rows = [_row(one) for one in ordered]
    threads = "1 thread" if workload.threads == 1 else f"{workload.threads} threads"
    verdicts = told([target for one in ordered for target in one["targets"]])
    return f"""\
### {workload.name}: {workload.title}; {workload.connections} connections, {threads}{by_choice}

{results.table(COLUMNS, rows)}
{verdicts}"""


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    if "reason" in one:
        return (one["peer"], one["reason"], *[""] * (len(COLUMNS) - 3), one["commit"])
    refused = statistics.median(pair["theirs"]["refused"] for pair in one["pairs"])
    run, raw = (statistics.median(values) for values in _bare(one["pairs"]))
    return (
        one["peer"],
        _both(one, "throughput", "{:,.0f}"),
        _range(one["ratios"]["throughput"]),
        _both(one, "cpu_micros", "{:,.1f}"),
        _range(one["ratios"]["cpu_micros"]),
        f"{_both(one, 'alone_p50_ms', '{:.2f}')} ({run:.2f})",
        _both(one, "p50_ms", "{:.2f}"),
        _both(one, "p99_ms", "{:.2f}"),
        _both(one, "mean_batch", "{:.1f}"),
        f"{raw:,.0f} @{one['pairs'][0]['raw_batch']}",
        _range(one["ratios"]["ceiling"]),
        f"{refused:.1%}" if refused else "",
        one["commit"],
    )


def _bare(pairs: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    """Milliseconds of `session.run` beside Hone's lone requests, and the bare runtime's rows per second."""
    return [pair["ours"]["run_p50_ms"] for pair in pairs], [pair["raw_rate"] for pair in pairs]


def _both(one: Mapping[str, Any], key: str, text: str) -> str:
    ours, theirs = (statistics.median(pair[side][key] for pair in one["pairs"]) for side in ("ours", "theirs"))
    return f"{text.format(ours)}, {text.format(theirs)}"


def _ratios(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def _range(ratio: Mapping[str, float]) -> str:
    return f"**{ratio['median']:.2f}** [{ratio['least']:.2f}-{ratio['most']:.2f}]"


def _targets(name: str, peer: str, ratios: Mapping[str, float]) -> list[Target]:
    workload, about = name.removesuffix(CHOSEN), f"{name} against {peer}"
    if name.endswith(CHOSEN):
        return [Target(what=f"{about}: throughput", value=ratios["throughput"], limit=BY_CHOICE, at_least=True)]
    found = []
    if workload in LIGHT:
        found.append(Target(what=f"{about}: CPU time a request", value=ratios["cpu_micros"], limit=CPU))
    if workload in (*LIGHT, *HEAVY):
        least = THROUGHPUT if workload in LIGHT else NEVER_BEHIND
        found.append(Target(what=f"{about}: throughput", value=ratios["throughput"], limit=least, at_least=True))
    if workload in HEAVY:
        what = f"{about}: Hone over bare ONNX Runtime"
        found.append(Target(what=what, value=ratios["ceiling"], limit=CEILING, at_least=True))
    if (workload, peer) == ALONE[:2]:
        found.append(Target(what=f"{about}: a lone request", value=ratios["alone_p50_ms"], limit=ALONE[2]))
    return found


def _about(name: str, peer: Peer) -> dict[str, Any]:
    return {
        "workload": name,
        "peer": peer.name,
        "version": peer.version(),
        "pinned": pinned(peer.name),
        **results.circumstances(PACKAGES),
    }
