"""No rest: `make soak` lets two services swap, lose and reload models under traffic of every kind, for ten minutes.

One follows its repository by polling, the other is told by the routes to load and unload. Workers are killed, stopped
and paused; clients are steady, hurried, senseless, impatient and poisonous. In the end every request must have got
exactly one answer of a kind that was provoked, right by the weights that computed it, the service's counters must agree
with the clients', and memory, descriptors, processes and temporary files must be what they were. `--minutes 0.5` is a
short one.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from loadtests import soak_report
from loadtests.served import ServerError, leave_on_sigterm
from loadtests.soaking.stage import EXPLICIT, POLL, Stage

PACE_SECONDS = 4.0


def main() -> int:
    """Soak, print and write; 1 when anything was wrong."""
    options = _options()
    leave_on_sigterm()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"about {options.minutes + 1:.0f} minutes, --seed {seed}", flush=True)
    seconds = options.minutes * 60
    stages = soak(seconds, seed=seed, pace=options.pace, console=Console(stderr=True))
    found = soak_report.figures(stages, seconds=seconds, seed=seed)
    print(soak_report.write(found))
    return 0 if found["met"] else 1


def soak(seconds: float, *, seed: int, pace: float, console: Console) -> list[Stage]:
    """Two services under everything for so long; stopped again, with what was wrong. Raises ServerError."""
    with tempfile.TemporaryDirectory(prefix="hone-soak-") as scratch, ExitStack() as stack:
        stages = [stack.enter_context(Stage.of(mode, Path(scratch, mode))) for mode in (POLL, EXPLICIT)]
        for number, stage in enumerate(stages):
            stage.begin(pace, seed + 1000 * number)
        try:
            _wait(seconds, stages, console)
        finally:
            for stage in stages:
                stage.scene.over.set()
        for stage in stages:
            stage.end()
        return stages


def _wait(seconds: float, stages: Sequence[Stage], console: Console) -> None:
    columns = (BarColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    until = time.monotonic() + seconds
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=seconds)
        while (left := until - time.monotonic()) > 0:
            asked = sum(stage.scene.ledger.sent.total() for stage in stages)
            suffered = sum(stage.troubles.done.total() for stage in stages)
            progress.update(bar, completed=seconds - left, description=f"{asked:,} requests, {suffered} troubles")
            time.sleep(min(0.5, left))
        progress.update(bar, completed=seconds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.soak", description=__doc__)
    parser.add_argument("--minutes", type=_minutes, default=10.0, help="how long (10)")
    parser.add_argument("--seed", type=int, help="of everything that is drawn, at random if absent; timing differs")
    parser.add_argument("--pace", type=float, default=PACE_SECONDS, help="seconds between two troubles of a kind (4)")
    return parser.parse_args()


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes <= 24 * 60:
        raise argparse.ArgumentTypeError(f"{text}: between 0 and 1440 minutes")
    return minutes


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ServerError as error:
        sys.exit(str(error))
