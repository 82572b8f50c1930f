"""What the bench of Hone by itself comes to: medians over rounds, the targets, the table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests import results
from loadtests.ceiling import against
from loadtests.target import Target, told
from loadtests.workloads.catalogue import WORKLOADS
from loadtests.workloads.workload import Workload

NAME = "bench"
CEILING = 0.97
"""Least share of the bare runtime's rows per second, for networks that compute for milliseconds."""

HEAVY = ("W3", "W4", "W4-uint8")
ALONE_MS = {"W1": 0.3, "W3": 0.5}
"""What a lone request may take longer than `session.run`."""

PACKAGES = ("onnxruntime", "uvicorn", "uvloop", "httptools", "orjson", "torch", "transformers")
COLUMNS = (
    "workload",
    "requests/s",
    "p50 / p99 ms",
    "one connection: p50 / p99 ms",
    "`session.run`, ms",
    "CPU-µs a request",
    "rows a batch",
    "ONNX Runtime alone, rows/s @batch",
    "share of it",
    "commit",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Service and runtime, measured once each. `alone` is one connection, `run` is `session.run` of one row."""

    throughput: float
    p50_ms: float
    p99_ms: float
    cpu_micros: float
    mean_batch: float
    alone_p50_ms: float
    alone_p99_ms: float
    run_p50_ms: float
    raw_rates: Mapping[int, float]


def entry(workload: Workload, rounds: Sequence[Round]) -> dict[str, Any]:
    """One workload's part of the twin."""
    figures, shares = against(rounds)
    over = statistics.median(one.alone_p50_ms - one.run_p50_ms for one in rounds)
    share = statistics.median(shares)
    targets = []
    if workload.name in HEAVY:
        what = f"{workload.name}: share of ONNX Runtime's rows per second"
        targets.append(Target(what=what, value=share, limit=CEILING, at_least=True))
    if workload.name in ALONE_MS:
        what = f"{workload.name}: a lone request over `session.run`, ms"
        targets.append(Target(what=what, value=over, limit=ALONE_MS[workload.name]))
    return {
        "workload": workload.name,
        **results.circumstances(PACKAGES),
        "connections": workload.connections,
        "threads": workload.threads,
        "seconds": workload.turn,
        "rounds": figures,
        "share": share,
        "share_range": [min(shares), max(shares)],
        "alone_over_run_ms": over,
        "targets": [one.figures() for one in targets],
        "met": all(one.met for one in targets),
    }


def entries() -> dict[str, Mapping[str, Any]]:
    """Everything that was measured on this machine so far, by workload."""
    return results.here(results.twin(NAME).get("workloads", {}))


def write(workload: str, found: Mapping[str, Any]) -> None:
    """Renew the row of one workload in the section and its twin."""
    renewed = {**entries(), workload: found}
    results.write(NAME, section(renewed), {"bench": NAME, "workloads": renewed})


def section(measured: Mapping[str, Mapping[str, Any]]) -> str:
    """The section of RESULTS.md."""
    if not measured:
        return ""
    known = {name: measured[name] for name in WORKLOADS if name in measured}
    newest = max(known.values(), key=lambda one: str(one["date"]))
    titles = "".join(
        f"* {name}: {WORKLOADS[name].title}; {one['connections']} connections, {_plural(one['threads'], 'thread')}\n"
        for name, one in known.items()
    )
    return f"""\
## Hone against ONNX Runtime in a loop

{results.told(newest)}

`make bench`: service and bare runtime in turns, {len(newest["rounds"])} each; medians [range]. wrk on the same cores.

{results.table(COLUMNS, [_row(one) for one in known.values()])}
{titles}
{told([target for one in known.values() for target in one["targets"]])}"""


def line(one: Mapping[str, Any]) -> str:
    """One workload, for whoever waits at the terminal."""
    return "  ".join(f"{name}: {cell}" for name, cell in zip(COLUMNS, _row(one), strict=True))


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    rounds = one["rounds"]

    def median(key: str) -> float:
        return float(statistics.median(each[key] for each in rounds))

    low, high = one["share_range"]
    return (
        one["workload"],
        f"{median('throughput'):,.0f}",
        f"{median('p50_ms'):.2f} / {median('p99_ms'):.2f}",
        f"{median('alone_p50_ms'):.2f} / {median('alone_p99_ms'):.2f}",
        f"{median('run_p50_ms'):.3f}",
        f"{median('cpu_micros'):,.1f}",
        f"{median('mean_batch'):.1f}",
        f"{median('raw_rate'):,.0f} @{rounds[0]['raw_batch']}",
        f"{one['share']:.3f} [{low:.2f}-{high:.2f}]",
        one["commit"],
    )


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
