"""Whether a change made requests dearer: `python -m loadtests.bench_before COMMIT` measures this tree beside that one.

Both serve the same model from this environment at the same time, one idle while the other has its window. Windows are
short and alternate, so that the pace of a shared machine, which may double within seconds, is the same for both. Two
processes of the same tree differ by some percent for as long as they live, and so does what they measure of the model
when they load it, so both are started anew every round, without a cache; what counts is the ratio of a round's medians.
The interval of the rounds' median is that of the sign test: order statistics, whatever the distribution (Conover,
Practical Nonparametric Statistics, 3.2).
"""

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from loadtests import results, wrk
from loadtests.contest import Contest
from loadtests.process_tree import cpu_seconds, wait_until_idle
from loadtests.served import ROOT, Served, ServerError, hone, leave_on_sigterm
from loadtests.target import Target, told
from loadtests.turns import turned
from loadtests.workloads.catalogue import WORKLOADS
from loadtests.workloads.workload import Workload

NAME = "bench-before"
PACKAGES = ("onnxruntime", "uvicorn", "uvloop")
NOW, BEFORE = "now", "before"
FIGURES = ("cpu_micros", "throughput")
WARM_SECONDS, WINDOW_SECONDS = 2, 1
WINDOWS = 6
"""That each side has in a round."""

SURE = 1.96
"""Standard deviations that 95 % of a normal distribution lie within."""

COLUMNS = ("workload", "CPU-µs a request: now, before", "now over before [95 %]", "requests/s: now, before", "[95 %]")


def main() -> int:
    """Measure, print and write; 1 when requests have become dearer beyond doubt, or a server fails."""
    options = _options()
    leave_on_sigterm()
    console = Console(stderr=True)
    entries = {}
    try:
        with tempfile.TemporaryDirectory(prefix="hone-before-") as scratch:
            before = Path(scratch)
            commit = extract(options.commit, before)
            for name in options.workloads:
                rounds = track(range(options.rounds), console=console, description=name)
                entries[name] = entry(compare(WORKLOADS[name], before, rounds))
    except (ServerError, wrk.WrkError, ValueError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        return 1
    targets = [
        Target(
            what=f"{name}: CPU of now over before, lower end", value=one["cpu_micros"]["least"], limit=1, at_least=False
        )
        for name, one in entries.items()
    ]
    about = results.circumstances(PACKAGES)
    section = _section(commit, entries, about, targets)
    print(section)
    results.write(NAME, section, {"bench": NAME, "before": commit, **about, "entries": entries})
    return 0 if all(target.met for target in targets) else 1


def extract(name: str, folder: Path, *, root: Path = ROOT) -> str:
    """Put the service of a commit of the repository `root` into `folder`; the commit's short name.

    Raises ValueError when git doesn't know it.
    """
    packed = subprocess.run(["git", "archive", name, "service"], cwd=root, capture_output=True, check=False)
    if packed.returncode:
        raise ValueError(f"git archive {name}: {packed.stderr.decode(errors='replace').strip()}")
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    found = subprocess.run(["git", "rev-parse", "--short=12", name], cwd=root, capture_output=True, check=True)
    return found.stdout.decode().strip()


def compare(workload: Workload, before: Path, rounds: Iterable[int]) -> list[dict[str, dict[str, float]]]:
    """Of each of `rounds` the medians of throughput and processor time: this tree's and that in the folder `before`."""
    trees = ((NOW, ROOT), (BEFORE, before))
    with Contest.of(workload, chosen=False) as contest:
        return [_round(contest, number, turned(trees, number)) for number in rounds]


def entry(rounds: Sequence[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians of either side, and of each figure the median ratio with the ends of its 95 % interval."""
    found: dict[str, Any] = {
        who: {key: statistics.median(one[who][key] for one in rounds) for key in FIGURES} for who in (NOW, BEFORE)
    }
    for key in FIGURES:
        ratios = sorted(one[NOW][key] / one[BEFORE][key] for one in rounds)
        least = max(0, math.floor((len(ratios) - SURE * math.sqrt(len(ratios))) / 2))
        found[key] = {"median": statistics.median(ratios), "least": ratios[least], "most": ratios[-1 - least]}
    return {**found, "rounds": list(rounds)}


def _round(contest: Contest, number: int, trees: Sequence[tuple[str, Path]]) -> dict[str, dict[str, float]]:
    workload = contest.workload
    found: dict[str, list[dict[str, float]]] = {NOW: [], BEFORE: []}
    with ExitStack() as running:
        servers = []
        for who, tree in trees:
            flags = ("--cache-dir", str(contest.folder / f"{who}-{number}"))
            served = running.enter_context(hone(contest.folder / "models", tree=tree, flags=flags))
            servers.append((who, served))
        for _, served in servers:
            _load(served, workload, WARM_SECONDS)
            wait_until_idle(served.pid)
        for window in range(WINDOWS):
            for who, served in turned(servers, window):
                found[who].append(_measured(served, workload))
    return {who: {key: statistics.median(one[key] for one in ones) for key in FIGURES} for who, ones in found.items()}


def _load(served: Served, workload: Workload, seconds: int) -> wrk.Load:
    return wrk.run(
        served.url, workload.request(), connections=workload.connections, seconds=seconds, slow=workload.slow
    )


def _measured(served: Served, workload: Workload) -> dict[str, float]:
    before = cpu_seconds(served.pid)
    load = _load(served, workload, WINDOW_SECONDS)
    return {"cpu_micros": (cpu_seconds(served.pid) - before) / load.requests * 1e6, "throughput": load.throughput}


def _section(commit: str, entries: dict[str, dict[str, Any]], about: dict[str, Any], targets: Sequence[Target]) -> str:
    rows = []
    for name, one in entries.items():
        now, before = one[NOW], one[BEFORE]
        rows.append(
            (
                WORKLOADS[name].title,
                f"{now['cpu_micros']:,.0f}, {before['cpu_micros']:,.0f}",
                _ratio(one["cpu_micros"]),
                f"{now['throughput']:,.0f}, {before['throughput']:,.0f}",
                _ratio(one["throughput"]),
            )
        )
    rounds = len(next(iter(entries.values()))["rounds"])
    return f"""\
## This commit beside {commit}

{results.told(about)}

`python -m loadtests.bench_before {commit}`: medians of {rounds} rounds; in each both start anew and have {WINDOWS}
interleaved windows of {WINDOW_SECONDS} s.

{results.table(COLUMNS, rows)}
{told([target.figures() for target in targets])}
"""


def _ratio(found: dict[str, float]) -> str:
    return f"**{found['median']:.2f}** [{found['least']:.2f}-{found['most']:.2f}]"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_before", description=__doc__)
    parser.add_argument("commit", help="what this tree is measured beside, as git names it: a commit, a tag, HEAD~3")
    parser.add_argument("--workloads", nargs="+", choices=sorted(WORKLOADS), default=["W1", "W2"], help="(W1 W2)")
    parser.add_argument("--rounds", type=int, default=12, help="on each workload, half a minute each (12)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
