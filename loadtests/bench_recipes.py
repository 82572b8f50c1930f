"""What every recipe comes to: `make recipes` publishes each, and writes the table of training/RESULTS.md.

A recipe is trained, measured through the service and published by its own command, in a process of its own; what is
done already is found in `runs/`. Parts merge: who names recipes renews their rows only. The exit code is 1 if a recipe
failed, missed its goal, or lost to its baseline. `make test-recipes` does the same in a scratch folder, and writes
nothing. With `--seeds N` recipes are run at N seeds each, and the section that says what they came to is written: a
section of its own, whose rows merge too. A baseline that wins at another seed than the recipe's own is no fault.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from loadtests import over_seeds, results
from loadtests.bench_recipe import FOLDER, TITLE
from loadtests.served import ROOT
from training.commands.outcome import GOAL_MISSED
from training.recipe import recipe_names
from training.summary import Kept, Summary, read

NAME = "recipes"
PACKAGES = ("torch", "onnxruntime", "scikit-learn", "numpy")
LIMIT_SECONDS = 3600
COLUMNS = (
    "recipe",
    "problem",
    "network",
    "figure that decides [95 %]",
    "best baseline",
    "parameters",
    "fit s",
    "p50 / p99 ms",
    "in pairs",
    "goal",
    "measured",
)


def main() -> int:
    """Run recipes and tell what they came to; 1 when one isn't what it should be."""
    options = _options()
    wrong = []
    with tempfile.TemporaryDirectory(prefix="hone-recipes-") as scratch:
        for name in options.recipes or recipe_names():
            runs = Path(scratch) if options.scratch else options.runs
            if options.seeds is not None:
                told = _over_seeds(name, options.profile, runs, options.seeds)
                if told is None:
                    wrong.append(name)
                elif not options.scratch:
                    _merge(over_seeds.NAME, name, told, over_seeds.section)
                continue
            started = time.perf_counter()
            kept = _run(name, options.profile, runs)
            seconds, fault = time.perf_counter() - started, _fault(kept)
            print(f"{name:<24}{seconds:>6.0f} s  {fault or 'fine'}: {kept.summary.goal if kept else ''}", flush=True)
            if fault is not None:
                wrong.append(name)
            if kept is not None and not options.scratch:
                _write(kept)
    if wrong:
        print(f"not as they should be: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _over_seeds(name: str, profile: str, runs: Path, count: int) -> Mapping[str, Any] | None:
    """What a recipe comes to at several seeds, the first of which is its own; None if it failed at one."""
    own, *others = over_seeds.seeds_of(name, profile, count)
    found = {own: _run(name, profile, runs)}
    for seed in others:
        folder = runs / "seeds" / str(seed)
        found[seed] = _run(str(over_seeds.at_seed(name, seed, folder)), profile, folder)
    for seed, kept in found.items():
        print(f"{name:<24}seed {seed}: {kept.summary.goal if kept else 'failed'}", flush=True)
    told = {str(seed): msgspec.to_builtins(kept.summary) for seed, kept in found.items() if kept is not None}
    if len(told) < count:
        return None
    return {**results.circumstances(PACKAGES), "summaries": told}


def _run(recipe: str, profile: str, runs: Path) -> Kept | None:
    """What a recipe, by its name or as a file, comes to; None if it failed, which is told."""
    words = ["training", "publish", recipe, "--profile", profile, "--runs", runs, "--repository", runs / "models"]
    command = [sys.executable, "-m", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    if done.returncode not in {0, GOAL_MISSED}:
        print(f"{recipe} failed:\n{(done.stdout + done.stderr)[-3000:]}", file=sys.stderr)
        return None
    return read(runs / Path(recipe).stem / profile)


def _fault(kept: Kept | None) -> str | None:
    """What is wrong with what a recipe came to, in words."""
    if kept is None:
        return "failed"
    if not kept.summary.goal_met:
        return "missed"
    return "loses to its baseline" if kept.summary.loses else None


def _write(kept: Kept) -> None:
    """Renew a recipe's row, and leave those of others that were measured on a machine like this one."""
    summary = kept.summary
    # What was done already was measured then, by the versions of today, or it would have been done again.
    measured = {"date": kept.when.strftime("%Y-%m-%d %H:%M UTC"), "commit": summary.commit}
    own = {**results.circumstances(PACKAGES), **measured, "summary": msgspec.to_builtins(summary)}
    _merge(NAME, summary.recipe, own, section)


def _merge(
    name: str, recipe: str, own: Mapping[str, Any], told: Callable[[Mapping[str, Mapping[str, Any]]], str]
) -> None:
    """Write a section with a recipe's entry, and those of other recipes that are still known."""
    others = results.here(results.twin(name, folder=FOLDER).get("recipes", {}))
    known = set(recipe_names())
    entries = {one: entry for one, entry in sorted({**others, recipe: own}.items()) if one in known}
    results.write(name, told(entries), {"recipes": entries}, folder=FOLDER, title=TITLE)


def section(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of all recipes that were measured."""
    about = max(entries.values(), key=lambda one: one["date"])
    return f"""\
## All recipes

last measured {results.told(about)} · `python -m loadtests.bench_recipes`

{results.table(COLUMNS, [_row(one) for one in entries.values()])}
Each by its profile, published by `hone-train publish` and measured through the service on a test part that nothing is
learnt from. Settings of some recipes were chosen with an eye on that part too, which the recipe's own file says: of
those, the comparison with a baseline is a demonstration and no proof. Intervals are by bootstrap over sources, of
series in moving blocks, those of shares Wilson's. The best baseline is the hardest to beat by that figure, fitted on
the same training part. Fit: all epochs. p50 / p99: whole requests of one input over HTTP, one client; of a
language model, one token more after a prompt. All rows are of machines with the same processor."""


def _row(entry: Mapping[str, Any]) -> Sequence[str]:
    one = msgspec.convert(entry["summary"], Summary)
    figure, latency = one.figure, one.latency_ms
    rival = "" if one.baseline_value is None else f"{one.baseline} {one.baseline_value:.4g}"
    return (
        f"{one.recipe} ({one.profile})",
        one.problem,
        one.network,
        f"{one.headline} {figure.value:.4g} [{figure.low:.4g}, {figure.high:.4g}]",
        f"{rival} (better)" if one.loses else rival,
        f"{one.parameters:,}",
        f"{one.fit_seconds:.0f}",
        "" if latency is None else f"{latency.p50:.2f} / {latency.p99:.2f}",
        one.verdict or "",
        "met" if one.goal_met else "missed",
        f"{entry['date']}, {entry['commit']}",
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_recipes", description=__doc__)
    parser.add_argument("recipes", nargs="*", help="the recipes (all that there are)")
    parser.add_argument("--profile", default="quick", help="the profile (quick)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where what is trained already lies (runs)")
    parser.add_argument("--seeds", type=_several, help="how many seeds to run each recipe at (its own alone)")
    parser.add_argument("--scratch", action="store_true", help="work in a folder that is removed, and write no table")
    return parser.parse_args()


def _several(text: str) -> int:
    count = int(text)
    if count < 2:
        raise argparse.ArgumentTypeError("must be at least 2: a spread needs several seeds")
    return count


if __name__ == "__main__":
    sys.exit(main())
