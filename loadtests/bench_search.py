"""What the compression search comes to: `make bench-search` writes the table of training/RESULTS.md.

Each case is a search by `hone-train compress` on this machine, trained where it has to be; then the teacher's file and
the chosen one are measured again, in turns and without a service. The parts called `rivals-...` are ONNX files that are
given to Hone's search, to Microsoft Olive's and to optimum-onnx, each in an environment of its own. What was searched
is found again in `runs/`. Parts merge: who names some renews their rows only. The exit code is 1 if a target was
missed. With `--quick` it is shown in a few minutes that everything works, and nothing is written.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from loadtests import results, search_report
from loadtests.peers.environment import add_option
from loadtests.search.beside import beside
from loadtests.search.cases import CASES, Case
from loadtests.search.paces import CHOSEN
from loadtests.search.rivals import SUBJECTS, Subject, Turns, contend
from loadtests.search.searched import search
from loadtests.served import ROOT
from training.compression.search.design import TEACHER

TURN_SECONDS = 0.15
QUICK = ("digits-mlp", "mlp", "rivals-mlp")
QUICK_MINUTES = 1.0


def main() -> int:
    """Search, measure, print and write; 1 when a target is missed."""
    options = _options()
    searches, rivals = {}, {}
    with tempfile.TemporaryDirectory(prefix="hone-search-") as scratch:
        runs = Path(scratch) if options.quick else options.runs
        for name in options.parts:
            print(f"{name} ...", flush=True)
            if name in CASES:
                profile = options.profile or CASES[name].profile
                searches[name] = _searched(CASES[name], runs / name, profile, options)
            else:
                rivals[name] = _contended(SUBJECTS[name], runs / name, options.profile or "quick", options)
            if not options.quick:
                search_report.write(searches, rivals)
    print(search_report.section(searches, rivals))
    return 0 if all(one["met"] is not False for one in searches.values()) else 1


def _searched(case: Case, folder: Path, profile: str, options: argparse.Namespace) -> dict[str, Any]:
    found = search(case, folder, profile=profile, minutes=options.minutes)
    files = {TEACHER: found.file(TEACHER), CHOSEN: found.file(found.report.chosen)}
    turns = beside(files, case.length(profile), rounds=options.rounds, seconds=TURN_SECONDS)
    return search_report.told(case, found, turns)


def _contended(subject: Subject, folder: Path, profile: str, options: argparse.Namespace) -> dict[str, Any]:
    contenders = contend(
        subject,
        folder,
        options.environments,
        profile=profile,
        minutes=options.minutes,
        turns=Turns(rounds=options.rounds, seconds=TURN_SECONDS),
    )
    about = results.circumstances(search_report.PACKAGES)
    return {**about, "name": subject.name, "title": subject.title, "contenders": contenders}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_search", description=__doc__)
    every = [*CASES, *SUBJECTS]
    parser.add_argument("parts", nargs="*", choices=[[], *every], help=f"which of {', '.join(every)} (all)")
    parser.add_argument("--profile", help="the recipes' profile (that of the table)")
    parser.add_argument("--minutes", type=float, help="how long a search may take (until it is done)")
    parser.add_argument("--rounds", type=int, default=9, help="turns of every file at every batch size (9)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "search", help="where searches are (runs/search)")
    parser.add_argument("--quick", action="store_true", help="two rounds, tiny recipes, and no table is written")
    add_option(parser)
    options = parser.parse_args()
    options.parts = options.parts or list(QUICK if options.quick else every)
    if options.quick:
        options.profile, options.minutes, options.rounds = "tiny", QUICK_MINUTES, 2
    return options


if __name__ == "__main__":
    sys.exit(main())
