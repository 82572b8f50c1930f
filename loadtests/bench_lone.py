"""Where the time of a lone request goes: Hone beside the barest servers that could answer it.

`python -m loadtests.bench_lone` sends one request after the other, on one connection, in turns to a server that answers
without looking, to one that asks a worker process first, to one whose worker computes the request, and to Hone: each
does what the one before does and something more.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from loadtests import results
from loadtests.lone import lone
from loadtests.lone_floor.relay import LAYERS
from loadtests.raw_runtime import RawRuntime
from loadtests.served import Served, free_port, hone, leave_on_sigterm, serving
from loadtests.turns import turned
from loadtests.workloads.cache import model_file, write_repository
from loadtests.workloads.catalogue import WORKLOADS, chosen
from loadtests.workloads.workload import Workload

NAME = "lone"
DEFAULT = "W1,W3"
RUN = "`session.run` alone"
TOLD = {
    "answer": "a server that answers without looking",
    "hop": "one that asks a worker process first",
    "run": "one whose worker runs the model",
    "hone": "Hone",
}
COLUMNS = ("what", "p50 ms", "more than the line before, ms [range]", "share of Hone's")
PACKAGES = ("onnxruntime", "uvicorn", "uvloop", "httptools", "orjson")
SECONDS = 2.0
"""Of a turn, half of them for `session.run` in between."""


def main() -> int:
    """Measure, print and write."""
    options = _options()
    leave_on_sigterm()
    measured = {one.name: measure(one, options.rounds) for one in options.workloads}
    text = section(measured)
    print(text)
    results.write(NAME, text, {"bench": NAME, **results.circumstances(PACKAGES), "p50_ms": measured})
    return 0


def measure(workload: Workload, rounds: int) -> dict[str, list[float]]:
    """Milliseconds at the median of each round, for each layer, and for `session.run` in this process."""
    runtime, row, request = (
        RawRuntime(model_file(workload), threads=workload.threads),
        workload.sample(),
        workload.request(),
    )
    found: dict[str, list[float]] = {RUN: [], **{layer: [] for layer in TOLD}}
    with ExitStack() as stack:
        servers = {layer: stack.enter_context(_relay(layer, workload)) for layer in LAYERS}
        servers["hone"] = stack.enter_context(_hone(workload))
        for turn in range(-1, rounds):  # the first warms
            runs: list[float] = []
            for layer in turned(tuple(servers), turn):
                one = lone(servers[layer].url, request, runtime, row, seconds=SECONDS)
                runs += one.runs
                if turn >= 0:
                    found[layer].append(statistics.median(one.requests) * 1e3)
            if turn >= 0:
                found[RUN].append(statistics.median(runs) * 1e3)
    return found


def section(measured: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The section of RESULTS.md."""
    turns = len(next(iter(measured.values()))[RUN])
    tables = "\n".join(
        f"### {name}: {WORKLOADS[name].title}\n\n{results.table(COLUMNS, list(_rows(found)))}"
        for name, found in measured.items()
    )
    return f"""\
## Where the time of a lone request goes

{results.told(results.circumstances(PACKAGES))}

`python -m loadtests.bench_lone`: one connection, one request after the other; medians of {turns} turns. The servers
before Hone parse nothing, and answer the same bytes whatever they are asked.

{tables}"""


def _rows(found: Mapping[str, Sequence[float]]) -> Iterator[tuple[str, ...]]:
    whole = statistics.median(found["hone"])
    yield (RUN, f"{statistics.median(found[RUN]):.3f}", "", "")
    before: Sequence[float] = [0.0] * len(found["hone"])
    for layer, told in TOLD.items():
        more = [one - other for one, other in zip(found[layer], before, strict=True)]
        added = statistics.median(more)
        middle = f"{statistics.median(found[layer]):.3f}"
        yield (told, middle, f"{added:+.3f} [{min(more):+.3f} to {max(more):+.3f}]", f"{added / whole:.0%}")
        before = found[layer]


@contextmanager
def _relay(layer: str, workload: Workload) -> Iterator[Served]:
    port = free_port()
    command = [sys.executable, "-m", "loadtests.lone_floor.relay", str(port), layer, workload.name]
    with serving(command, port=port, ready="/") as served:
        yield served


@contextmanager
def _hone(workload: Workload) -> Iterator[Served]:
    with tempfile.TemporaryDirectory(prefix="hone-bench-") as scratch:
        repository = Path(scratch, "models")
        write_repository(repository, workload)
        with hone(repository, flags=("--cache-dir", str(Path(scratch, "cache")))) as served:
            yield served


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_lone", description=__doc__)
    parser.add_argument(
        "--workloads", type=chosen, default=DEFAULT, help=f"which, of {','.join(WORKLOADS)} ({DEFAULT})"
    )
    parser.add_argument("--rounds", type=int, default=8, help="turns that each server has (8)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
