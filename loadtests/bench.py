"""Hone by itself: `make bench` measures the workloads through the service, against ONNX Runtime in a loop.

Each workload has a service of its own on a temporary repository. Service and bare runtime take turns, the order turned
round each time, so that both see the same minute; what is written are medians over the rounds and of ratios within one.
`python -m loadtests.bench --workloads W1,W3` measures some, and renews their rows alone.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from loadtests import bench_report, instruments, wrk
from loadtests.bench_report import Round
from loadtests.lone import Lone, check_answer, first_answer, lone
from loadtests.process_tree import cpu_seconds, wait_until_idle
from loadtests.raw_runtime import RawRuntime
from loadtests.request import output_of
from loadtests.served import Served, ServerError, hone, leave_on_sigterm
from loadtests.turns import turned
from loadtests.workloads.cache import write_repository
from loadtests.workloads.catalogue import WORKLOADS, chosen
from loadtests.workloads.workload import Workload

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SWEEP_SECONDS = 0.3
WARM_SECONDS = 2


def main() -> int:
    """Measure, print and write; 1 when a target is missed."""
    options = _options()
    leave_on_sigterm()
    met = True
    for workload in options.workloads:
        try:
            found = bench_report.entry(workload, measure(workload, options.rounds))
        except (ServerError, ValueError, wrk.WrkError) as error:
            print(f"{workload.name}: {error}", file=sys.stderr)
            met = False
            continue
        print(bench_report.line(found), flush=True)
        bench_report.write(workload.name, found)
        met = met and found["met"]
    print(bench_report.section(bench_report.entries()))
    return 0 if met else 1


def measure(workload: Workload, rounds: int) -> list[Round]:
    """Start the service, check an answer, and measure it and the runtime in turns.

    Raises ServerError, WrkError, or ValueError for a wrong answer.
    """
    with tempfile.TemporaryDirectory(prefix="hone-bench-") as scratch:
        repository = Path(scratch, "models")
        runtime = RawRuntime(write_repository(repository, workload), threads=workload.threads)
        row = workload.sample()
        with hone(repository, flags=("--cache-dir", str(Path(scratch, "cache")))) as served:
            check_answer(output_of(first_answer(served.url, workload.request())), runtime.answer(row))
            wrk.run(served.url, workload.request(), connections=workload.connections, seconds=WARM_SECONDS)
            best = runtime.best_batches(row, BATCHES, SWEEP_SECONDS)
            return [_round(workload, served, runtime, best, turn) for turn in range(rounds)]


def _round(workload: Workload, served: Served, runtime: RawRuntime, best: Sequence[int], turn: int) -> Round:
    """Both once, the runtime first every other time."""
    row, rates, measured = workload.sample(), {}, None
    for one in turned(("service", "runtime"), turn):
        if one == "runtime":
            rates = {batch: runtime.rate(row, batch, workload.turn / len(best)) for batch in best}
        else:
            measured = _service(workload, served, runtime)
    assert measured is not None
    alone, load, cpu, mean = measured
    return Round(
        throughput=load.throughput,
        p50_ms=load.p50_ms,
        p99_ms=load.p99_ms,
        cpu_micros=cpu / load.requests * 1e6,
        mean_batch=mean,
        alone_p50_ms=float(np.percentile(alone.requests, 50)) * 1e3,
        alone_p99_ms=float(np.percentile(alone.requests, 99)) * 1e3,
        run_p50_ms=float(np.percentile(alone.runs, 50)) * 1e3,
        raw_rates=rates,
    )


def _service(workload: Workload, served: Served, runtime: RawRuntime) -> tuple[Lone, wrk.Load, float, float]:
    """One connection, then many; with the processor seconds and the rows a batch of the latter."""
    alone = lone(served.url, workload.request(), runtime, workload.sample(), seconds=workload.turn)
    before, used = instruments.batches(served.metrics_url, workload.model), cpu_seconds(served.pid)
    load = wrk.run(
        served.url,
        workload.request(),
        connections=workload.connections,
        seconds=workload.turn,
        slow=workload.slow,
    )
    used = cpu_seconds(served.pid) - used
    wait_until_idle(served.pid)
    return alone, load, used, instruments.batches(served.metrics_url, workload.model).mean_since(before)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=__doc__)
    everything = ",".join(WORKLOADS)
    parser.add_argument("--workloads", type=chosen, default=everything, help=f"which, of {everything} (all)")
    parser.add_argument("--rounds", type=int, default=8, help="turns that service and runtime have each (8)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
