"""What the swaps come to: latencies by moment, and memory by the number of swaps."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from loadtests import results
from loadtests.soaking.vitals import KIB, MIB, Vital, trend

NAME = "bench-swap"
PACKAGES = ("onnxruntime", "uvicorn", "uvloop", "tritonclient")
AROUND_SECONDS = 0.25
"""How long before and after a load's end counts as the moment of the change."""

WARM_SHARE = 0.3
LEAST = 3 * MIB
PER_SWAP = 2 * KIB
"""The front may grow by this for each swap, or by LEAST in all: what a fragmented heap settles for."""

BETWEEN, LOADING, CHANGING = "between swaps", "while one is loaded", "when it takes over"
LATENCIES = ("requests sent", "number", "p50 ms", "p99 ms", "p99.9 ms", "longest ms")


@dataclass(kw_only=True)
class Swaps:
    """Owns what was measured: (sent, seconds) of every answer, (begin, end) of every load, and looks at the process."""

    answers: list[tuple[float, float]] = field(default_factory=list)
    loads: list[tuple[float, float]] = field(default_factory=list)
    vitals: list[Vital] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def figures(swaps: Swaps) -> dict[str, Any]:
    """Everything, and whether all was well."""
    moments = told_apart(swaps.answers, swaps.loads)
    kept = swaps.vitals[int(WARM_SHARE * len(swaps.vitals)) :]
    numbers = [float(number) for number in range(len(kept))]
    line = trend(numbers, [one.front for one in kept]) if len(kept) > 1 else None
    flat = line is None or line.growth <= max(LEAST, PER_SWAP * len(kept))
    wrong = [*swaps.wrong, *([] if flat else ["memory of the front grew"])]
    if swaps.vitals and swaps.vitals[-1].descriptors > swaps.vitals[0].descriptors + 2:
        wrong.append(f"descriptors: {swaps.vitals[0].descriptors} became {swaps.vitals[-1].descriptors}")
    return {
        "bench": NAME,
        **results.circumstances(PACKAGES),
        "swaps": len(swaps.loads),
        "load_seconds": float(np.median([end - begin for begin, end in swaps.loads])),
        "latencies": {name: _percentiles(values) for name, values in moments.items() if values},
        "front_mib": [line.begin / MIB, line.end / MIB] if line else [],
        "bytes_a_swap": line.slope if line else 0.0,
        "wrong": wrong,
        "met": not wrong,
    }


def told_apart(answers: Sequence[tuple[float, float]], loads: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    """Latencies by the moment in which a request was sent, or was still unanswered when that began."""
    found: dict[str, list[float]] = {BETWEEN: [], LOADING: [], CHANGING: []}
    begins = [begin for begin, _ in loads]
    for sent, seconds in answers:
        moment = BETWEEN
        number = bisect_right(begins, sent + seconds) - 1
        if number >= 0:
            end = loads[number][1]
            if sent < end + AROUND_SECONDS:
                moment = CHANGING if sent + seconds > end - AROUND_SECONDS else LOADING
        found[moment].append(seconds)
    return found


def write(found: Mapping[str, Any]) -> str:
    """Renew the section and its twin; returns the section."""
    rows = [
        (name, f"{one['number']:,}", *(f"{one[key]:.2f}" for key in ("p50", "p99", "p99.9", "most")))
        for name, one in found["latencies"].items()
    ]
    verdict = "\n".join(f"* **{one}**" for one in found["wrong"]) or "* every answer was right, and memory is flat"
    memory = " -> ".join(f"{size:.1f}" for size in found["front_mib"])
    text = f"""\
## Hot swap: {found["swaps"]:,} times under load

{results.told(found)}

`make bench-swap`: a small model is replaced by the load route; clients on the same cores. A load takes
{found["load_seconds"]:.1f} s, one of which is the wait for the file to be calm. Memory of the front, without the first
{WARM_SHARE:.0%} of the swaps: {memory} MiB, {found["bytes_a_swap"] / KIB:+.2f} KiB a swap.

{results.table(LATENCIES, rows)}
{verdict}"""
    results.write(NAME, text, found)
    return text


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p99, p999 = (float(value) * 1e3 for value in np.percentile(seconds, (50, 99, 99.9)))
    return {"number": len(seconds), "p50": p50, "p99": p99, "p99.9": p999, "most": max(seconds) * 1e3}
