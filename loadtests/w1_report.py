"""What the W1 measurements come to: medians of pairs against the goals, as JSON and as Markdown."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from loadtests import results

CPU_GOAL = 0.9
"""Hone's processor time per request, as a share of mosec's, median of the pairs."""

ALONE_GOAL_MS = 0.35
"""What one connection may wait over `session.run`, in milliseconds."""

Row = Mapping[str, Any]


def figures(measured: Sequence[Row], ceiling: Mapping[str, float], seconds: int) -> dict[str, Any]:
    """Everything that was measured and where, with the summary that the goals are about."""
    return {
        "bench": "w1",
        "date": results.now(),
        "commit": results.commit(),
        "machine": results.machine(),
        "versions": results.versions(("onnxruntime", "uvicorn", "uvloop", "httptools", "orjson")) | {"mosec": "0.9.8"},
        "seconds": seconds,
        "ceiling_items_per_second": dict(ceiling),
        "runs": list(measured),
        "summary": summary(measured),
    }


def summary(measured: Sequence[Row]) -> dict[str, Any]:
    """Medians over the pairs: of each server, of the ratios within a pair, and of Hone's wait over the bare runtime."""
    hone = [row for row in measured if row["server"] == "hone"]
    mosec = [row for row in measured if row["server"] == "mosec"]
    if not hone or not mosec:
        return {"goal_met": False}
    cpu = [a["cpu_micros"] / b["cpu_micros"] for a, b in zip(hone, mosec, strict=True)]
    throughput = [a["throughput"] / b["throughput"] for a, b in zip(hone, mosec, strict=True)]
    over = statistics.median(row["alone_p50_ms"] - row["raw_p50_ms"] for row in hone)
    ratio = statistics.median(cpu)
    return {
        "pairs": len(cpu),
        "cpu_ratio": ratio,
        "cpu_ratio_range": [min(cpu), max(cpu)],
        "throughput_ratio": statistics.median(throughput),
        "throughput_ratio_range": [min(throughput), max(throughput)],
        "alone_over_runtime_ms": over,
        "goal_met": ratio <= CPU_GOAL and over <= ALONE_GOAL_MS,
    }


def section(found: Mapping[str, Any]) -> str:
    """The section of RESULTS.md."""
    total = found["summary"]
    place = found["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    ceiling = ", ".join(f"{items:,.0f} ({how})" for how, items in found["ceiling_items_per_second"].items())
    cpu = f"**{total['cpu_ratio']:.2f}** {_range(total['cpu_ratio_range'])}"
    throughput = f"{total['throughput_ratio']:.2f} {_range(total['throughput_ratio_range'])}"
    verdict = "met" if total["goal_met"] else "**missed**"
    return f"""\
## W1: MLP 64-256-256-10, Open Inference Protocol JSON, against mosec given the same body

{found["date"]} · commit {found["commit"]} · {place["cores"]} cores of {place["cpu"]} · {versions}

`make bench`: {total["pairs"]} pairs of {found["seconds"]} turns of a second for each server, ABBA. wrk with 64
keep-alive connections on the same cores; one worker, one intra-op thread and batches of at most 32 on both sides, mosec
with its delay of 2 ms. Median [range].

{_servers(found["runs"])}
Processor time per request, Hone over mosec, in pairs: {cpu}, goal at most {CPU_GOAL}. Throughput: {throughput}.
One connection waits **{total["alone_over_runtime_ms"]:.2f} ms** longer than `session.run` takes, goal at most \
{ALONE_GOAL_MS} ms. Goals {verdict}.

ONNX Runtime by itself in the same run, items/s: {ceiling}.
"""


def line(row: Row) -> str:
    """One measurement, for whoever waits at the terminal."""
    return (
        f"{row['server']:>6}  {row['cpu_micros']:6.1f} CPU-µs  {row['throughput']:8,.0f} requests/s  "
        f"p50 {row['p50_ms']:6.2f} ms  alone {row['alone_p50_ms']:5.2f} ms (session.run {row['raw_p50_ms']:.3f})"
    )


def _servers(runs: Sequence[Row]) -> str:
    header = ("server", "CPU-µs a request", "requests/s", "p50, ms", "p99, ms", "one connection: p50, ms")
    keys = ("cpu_micros", "throughput", "p50_ms", "p99_ms", "alone_p50_ms")
    formats = ("{:.1f}", "{:,.0f}", "{:.2f}", "{:.2f}", "{:.3f}")
    rows = []
    for server in ("hone", "mosec"):
        own = [row for row in runs if row["server"] == server]
        cells = [_cell([row[key] for row in own], text) for key, text in zip(keys, formats, strict=True)]
        rows.append((server, *cells))
    return results.table(header, rows)


def _cell(values: Sequence[float], text: str) -> str:
    middle, low, high = (text.format(value) for value in (statistics.median(values), min(values), max(values)))
    return f"{middle} [{low}-{high}]"


def _range(bounds: Sequence[float]) -> str:
    return f"[{bounds[0]:.2f}-{bounds[1]:.2f}]"
