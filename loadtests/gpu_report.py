"""What the bench on a GPU comes to: medians over rounds, the target, the table."""

import importlib.metadata
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests import results
from loadtests.ceiling import against
from loadtests.target import Target, told
from loadtests.workloads.workload import Workload

CEILING = 0.9
"""Least share of the bare runtime's rows per second."""

COLUMNS = ("network", "requests/s", "p50 / p99 ms", "CPU-µs a request", "rows a batch", "ONNX Runtime, rows/s", "share")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """On what is measured: "cuda" or "cpu", which of them, how many workers, and whether by recorded graphs."""

    device: str
    number: int
    instances: int
    graphs: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Service and runtime, measured once each."""

    throughput: float
    p50_ms: float
    p99_ms: float
    cpu_micros: float
    mean_batch: float
    raw_rates: Mapping[int, float]


def entry(workload: Workload, rounds: Sequence[Round], setup: Setup) -> dict[str, Any]:
    """One network's part of the twin."""
    figures, shares = against(rounds)
    what = f"{workload.name}: share of ONNX Runtime's rows per second"
    target = Target(what=what, value=statistics.median(shares), limit=CEILING, at_least=True)
    return {
        "workload": workload.name,
        "title": workload.title,
        **results.circumstances(_packages()),
        "device": _called(setup.device, setup.number),
        "instances": setup.instances,
        "graphs": setup.graphs,
        "connections": workload.connections,
        "rounds": figures,
        "share": target.value,
        "share_range": [min(shares), max(shares)],
        # On a processor the service and what asks it share the cores with the network, so nothing is demanded.
        "targets": [target.figures()] if setup.device == "cuda" else [],
        "met": target.met or setup.device == "cpu",
    }


def section(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The section of RESULTS.md."""
    first = next(iter(entries.values()))
    titles = "".join(f"* {name}: {one['title']}; {one['connections']} connections\n" for name, one in entries.items())
    graphs = ", recorded graphs" if first["graphs"] else ""
    return f"""\
## Hone on {first["device"]} against ONNX Runtime in a loop

{results.told(first)}

`python -m loadtests.gpu`: in turns, {len(first["rounds"])} each; {first["instances"]} instances{graphs}; medians \
[range].

{results.table(COLUMNS, [_row(one) for one in entries.values()])}
{titles}
{told([target for one in entries.values() for target in one["targets"]])}"""


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    def median(key: str) -> float:
        return float(statistics.median(each[key] for each in one["rounds"]))

    low, high = one["share_range"]
    return (
        one["workload"],
        f"{median('throughput'):,.0f}",
        f"{median('p50_ms'):.2f} / {median('p99_ms'):.2f}",
        f"{median('cpu_micros'):,.1f}",
        f"{median('mean_batch'):.1f}",
        f"{median('raw_rate'):,.0f} @{one['rounds'][0]['raw_batch']}",
        f"{one['share']:.3f} [{low:.2f}-{high:.2f}]",
    )


def _called(device: str, number: int) -> str:
    """What the device calls itself, with its driver."""
    tool = shutil.which("nvidia-smi")
    if device == "cpu":
        return "the processor"
    if tool is None:
        return "a GPU"
    query = [tool, f"--id={number}", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip() or "a GPU"


def _packages() -> tuple[str, ...]:
    known = ("onnxruntime-gpu", "onnxruntime", "numpy", "torch", "transformers", "uvloop", "httptools")
    there = {distribution.name for distribution in importlib.metadata.distributions()}
    return tuple(name for name in known if name in there)
