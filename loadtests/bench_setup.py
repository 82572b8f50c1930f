"""How long a newcomer waits: `make demo ONCE=1` on installed packages, and again when nothing has changed.

`python -m loadtests.bench_setup` works in a clone of the committed state in a temporary folder, so nothing here is
touched, and writes the section "setup" of RESULTS.md. `--test` times `make test` there too.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from loadtests import results
from loadtests.served import ROOT

LIMIT_SECONDS = 1200
GOALS = {"make demo ONCE=1": 240.0, "make demo ONCE=1, again": 20.0, "make test": 480.0}


def main() -> int:
    """Clone, install, time, write; 1 when a command fails."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="hone-setup-") as folder:
        clone = Path(folder, "hone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        seconds = {"make setup (installs; no goal)": _make(clone, "setup", *options.make)}
        seconds["make demo ONCE=1"] = _make(clone, "demo", "ONCE=1", *options.make)
        seconds["make demo ONCE=1, again"] = _make(clone, "demo", "ONCE=1", *options.make)
        if options.test:
            seconds["make test"] = _make(clone, "test", *options.make)
    place, commit = results.machine(), results.commit().removesuffix("+")  # a clone holds what is committed
    figures = {
        "bench": "setup",
        "date": results.now(),
        "commit": commit,
        "machine": place,
        "seconds": seconds,
        "goals": GOALS,
    }
    rows = [
        (f"`{name}`", f"{taken:.0f}", f"{GOALS[name]:.0f}" if name in GOALS else "") for name, taken in seconds.items()
    ]
    section = f"""\
## Set-up, in a clone of commit {commit}

{results.now()} · {place["cores"]} cores of {place["cpu"]} · `python -m loadtests.bench_setup`

{results.table(("command", "seconds", "at most"), rows)}"""
    print(section)
    results.write("setup", section, figures)
    return 0


def _make(clone: Path, *words: str) -> float:
    """Seconds that `make` took in `clone`; SystemExit with what it said when it failed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("HONE_", "MAKE", "VIRTUAL"))
    }
    started = time.perf_counter()
    done = subprocess.run(
        ["make", *words], cwd=clone, env=environment, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
    )
    if done.returncode != 0:
        sys.exit(f"make {' '.join(words)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return time.perf_counter() - started


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_setup", description=__doc__)
    parser.add_argument("--test", action="store_true", help="time `make test` as well")
    parser.add_argument("--make", nargs="*", default=[], help="words for make, for example PIP_ARGS=...")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
