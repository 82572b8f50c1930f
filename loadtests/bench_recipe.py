"""What a recipe comes to: `make results` trains it in full, compares its variants, and writes training/RESULTS.md.

Four sections: the family (every variant against the teacher, through the service), what more threads do for the teacher
and the chosen one, the ladder (is the teacher larger than its task asks for?), and the time that the demo's part of it
takes. What is trained already is found in `runs/`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rich.console import Console

from loadtests import results, threads
from loadtests.served import ROOT
from loadtests.threads import Computed, Layout
from training import ladder, run
from training.gain import ITSELF
from training.ladder import Padding, Rung, judge
from training.machine import machine
from training.recipe import load_recipe
from training.report import Report
from training.steps.journal import Journal

FOLDER = ROOT / "training"
TITLE = (
    "# Results\n\nEvery section is written by the command that it names. Shared machine: compare only within a table.\n"
)
FASTER, SMALLER, MAX_DROP = 4.0, 8.0, 0.01
COLUMNS = (
    "variant",
    "of",
    "accuracy % [95 %]",
    "won / lost (p)",
    "KB",
    "smaller",
    "compute ms, batch 1",
    "faster",
    "p50 / p99 ms",
    "images/s @batch",
)
DEMO_GOALS = (240.0, 20.0)
LIMIT_SECONDS = 900


def main() -> int:
    """Measure and write; 1 when a goal is missed."""
    options = _options()
    with Journal(load_recipe(options.recipe, options.profile), options.runs, Console(stderr=True)) as journal:
        family, report = run.evaluate(journal)
        met = [_family(report)]
        models = (next(iter(report.variants)), report.verdict.chosen)
        counts = sorted({1, machine().cores})
        _threads(report, models, threads.measure(family, models, counts, journal.recipe, journal.console))
        if options.seeds:
            rungs = ladder.climb(journal, family.dataset, range(1, options.seeds + 1))
            met.append(_ladder(report, rungs))
    if options.demo:
        met.append(_demo(options.recipe))
    return 0 if all(met) else 1


def _family(report: Report) -> bool:
    chosen, teacher = report.variants[report.verdict.chosen], next(iter(report.variants.values()))
    gain = chosen.over_teacher or ITSELF
    drop = teacher.accuracy.value - chosen.accuracy.value
    enough = gain.compute >= FASTER and gain.size >= SMALLER and drop <= MAX_DROP
    met = enough and report.verdict.goal_met
    label = "Chosen" if report.verdict.goal_met else "Nearest miss"
    section = f"""\
## {report.recipe.about} ({report.recipe.profile})

{_circumstances(report.commit)} · `python -m loadtests.bench_recipe {report.recipe.name}`

{results.table(COLUMNS, [_row(name, report) for name in report.variants])}
{label}: {report.verdict.chosen}, {gain.compute:.2f}x faster, {gain.size:.1f}x smaller, {-drop * 100:+.2f} points.
Asked: {FASTER:.0f}x faster, {SMALLER:.0f}x smaller, at most {MAX_DROP:.0%} lost: {"met" if met else "missed"}.
The recipe's own verdict: {report.verdict.goal}.

Through the service, variants interleaved on the same cores. Faster: the worker's time at batch 1, the median over
rounds of the ratio to the teacher. Won / lost: images that only this variant or only its parent got right, of
{teacher.accuracy.count}; p by exact sign flips, the views of a scan together. p50 / p99: of
{teacher.latency_ms["1"].count} requests of one image. Every model has one instance of one thread; what more do is told
below."""
    goals = {"faster": FASTER, "smaller": SMALLER, "max_drop": MAX_DROP}
    _write(report.recipe.name, section, {"report": msgspec.to_builtins(report), "goals": goals, "met": met})
    return met


def _threads(report: Report, models: tuple[str, str], computed: Computed) -> None:
    teacher, chosen = models
    rows = []
    for one, seconds in computed.items():
        paired = computed[Layout(model=teacher, threads=one.threads)]
        gain = f"{np.median(paired / seconds):.2f}x" if one.model == chosen else ""
        rows.append((one.model, str(one.threads), f"{np.median(seconds) * 1e3:.3f}", gain))
    fastest = [min((own for one, own in computed.items() if one.model == model), key=np.median) for model in models]
    best = np.median(fastest[0] / fastest[1])
    section = f"""\
## One thread and more

{_circumstances(report.commit)} · `python -m loadtests.bench_recipe {report.recipe.name}`

{results.table(("variant", "threads", "compute ms, batch 1", "faster than the teacher with as many"), rows)}
Each at its best, {chosen} is {best:.2f}x as fast as {teacher}. All layouts took turns in one service."""
    figures = [{"model": one.model, "threads": one.threads, "seconds": own.tolist()} for one, own in computed.items()]
    _write(f"{report.recipe.name}-threads", section, {"layouts": figures})


def _row(name: str, report: Report) -> tuple[str, ...]:
    one = report.variants[name]
    test, gain, latency = one.against_parent, one.over_teacher, one.latency_ms["1"]
    accuracy = f"{one.accuracy.value * 100:.2f} [{one.accuracy.low * 100:.1f}-{one.accuracy.high * 100:.1f}]"
    return (
        f"**{name}**" if name == report.verdict.chosen else name,
        one.parent or "",
        accuracy,
        "" if test is None else f"{test.only_first} / {test.only_second} ({test.p_value:.3f})",
        f"{one.size / 1e3:.0f}",
        "" if gain is None else f"{gain.size:.1f}x",
        f"{one.compute_ms['1']:.3f}",
        "" if gain is None else f"{gain.compute:.2f}x",
        f"{latency.p50:.2f} / {latency.p99:.2f}",
        f"{one.throughput:,.0f} @{one.best_batch}",
    )


def _ladder(report: Report, rungs: Sequence[Rung]) -> bool:
    own = next(rung for rung in rungs if rung.widths == report.recipe.network.widths)
    padding = judge(rungs, own.widths)
    rows = [
        (
            f"**{_widths(rung)}**" if rung is own else _widths(rung),
            f"{rung.parameters:,}",
            f"{rung.parameters / own.parameters:.2f}",
            f"{rung.multiply_adds / 1e6:.1f}",
            f"{rung.mean * 100:.2f} ± {rung.error * 100:.2f}",
            f"{(rung.mean - own.mean) * 100:+.2f}",
            " ".join(f"{accuracy * 100:.2f}" for accuracy in rung.accuracies),
        )
        for rung in rungs
    ]
    header = ("widths", "parameters", "of the teacher's", "M multiply-adds", "accuracy % (± s.e.)", "points", "by seed")
    section = f"""\
## Is the teacher padded?

{_circumstances(report.commit)} · `python -m loadtests.bench_recipe {report.recipe.name}`

{results.table(header, rows)}
Networks of the teacher's kind, **{_widths(own)}**, trained as it is. {_judged(padding, own)}"""
    _write(f"{report.recipe.name}-ladder", section, msgspec.to_builtins({"rungs": rungs, "padding": padding}))
    return not padding.padded


def _judged(padding: Padding, own: Rung) -> str:
    half, limit = padding.half, f"{ladder.PADDED * 100:.1f}"
    return (
        f"The best of about half its size or less ({_widths(half)}, {half.parameters / own.parameters:.2f} of the "
        f"parameters): {-padding.difference * 100:+.2f} ± {padding.error * 100:.2f} points, "
        + (f"within {limit}: padded." if padding.padded else f"more than {limit}: not padded.")
    )


def _widths(rung: Rung) -> str:
    return "-".join(map(str, rung.widths))


def _demo(recipe: str) -> bool:
    with tempfile.TemporaryDirectory(prefix="hone-demo-") as folder:
        seconds = [_demo_seconds(recipe, Path(folder)) for _ in range(2)]
    met = all(taken <= goal for taken, goal in zip(seconds, DEMO_GOALS, strict=True))
    rows = [
        (name, f"{taken:.0f}", f"{goal:.0f}")
        for name, taken, goal in zip(("first", "again, nothing changed"), seconds, DEMO_GOALS, strict=True)
    ]
    commit = results.commit()
    section = f"""\
## The demo: train, compress, compare, publish, serve, predict

{_circumstances(commit)} · `python -m loadtests.bench_recipe {recipe}`

{results.table(("run", "seconds", "at most"), rows)}"""
    _write(f"{recipe}-demo", section, {"commit": commit, "seconds": seconds, "goals": DEMO_GOALS})
    return met


def _demo_seconds(recipe: str, folder: Path) -> float:
    """What `make demo ONCE=1` runs once everything is installed, in a folder of its own."""
    models = str(folder / "models")
    commands = (
        ["training", "publish", recipe, "--profile", "quick", "--runs", str(folder), "--repository", models],
        ["deploy.demo", "--repository", models, "--once"],
    )
    started = time.perf_counter()
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False
        )
        if done.returncode != 0:
            sys.exit(f"python -m {' '.join(words)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return time.perf_counter() - started


def _circumstances(commit: str | None) -> str:
    place = machine()
    versions = ", ".join(f"{name} {place.versions[name]}" for name in ("python", "torch", "onnxruntime"))
    return f"written {results.now()} · measured at commit {commit} · {place.cores} cores of {place.cpu} · {versions}"


def _write(name: str, section: str, figures: dict[str, Any]) -> None:
    print(section, end="\n\n")
    about = {"date": results.now(), "machine": msgspec.to_builtins(machine())}
    results.write(name, section, {**about, **figures}, folder=FOLDER, title=TITLE)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench_recipe", description=__doc__)
    parser.add_argument("recipe", nargs="?", default="digits", help="the recipe (digits)")
    parser.add_argument("--profile", default="full", help="the profile (full)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where what is trained already lies (runs)")
    parser.add_argument("--seeds", type=int, default=3, help="seeds a rung of the ladder; 0 leaves it out (3)")
    parser.add_argument("--demo", action=argparse.BooleanOptionalAction, default=True, help="time the demo too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
