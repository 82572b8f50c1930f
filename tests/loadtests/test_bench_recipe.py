"""What the bench of a recipe says of figures; nothing is trained or measured here."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadtests import bench_recipe, results
from loadtests.bench_recipe import FASTER
from loadtests.bench_recipe import _family as tell_family
from loadtests.bench_recipe import _ladder as tell_ladder
from loadtests.bench_recipe import _threads as tell_threads
from loadtests.threads import Layout
from tests.training import reports
from training.ladder import Rung
from training.recipe import load_recipe
from training.report import Report
from training.statistics import Paired
from training.verdict import Budget, choose

INT8 = "digits-int8"
EQUAL = Paired(only_first=5, only_second=6, p_value=1.0)
Told = Callable[[str], tuple[str, Any]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What was written under a name: its section with single spaces, and the JSON twin."""
    monkeypatch.setattr(bench_recipe, "FOLDER", tmp_path)

    def read(name: str) -> tuple[str, Any]:
        text = (tmp_path / "RESULTS.md").read_text()
        section = text.partition(f"<!-- {name} -->")[2].partition(f"<!-- end of {name} -->")[0]
        return " ".join(section.split()), json.loads((tmp_path / "results" / f"{name}.json").read_text())

    return read


def report(*, speedup: float = FASTER + 1, paired: Paired = EQUAL) -> Report:
    """A teacher and an INT8 model that keeps its accuracy and is 9.2 times smaller, told from it by `paired`."""
    found = reports.report(load_recipe("digits", "tiny"), reports.dataset())
    teacher, one = found.variants["digits-teacher"], found.variants[INT8]
    assert one.over_teacher is not None
    gain = replace(one.over_teacher, compute=speedup, throughput=speedup)
    one = replace(
        one,
        parent="digits-teacher",
        over_teacher=gain,
        over_parent=gain,
        against_parent=paired,
    )
    variants = {"digits-teacher": teacher, INT8: one}
    return replace(found, variants=variants, verdict=choose(variants, Budget(min_speedup=1.5, min_shrink=6.0)))


def rung(widths: tuple[int, ...], parameters: int, *accuracies: float) -> Rung:
    return Rung(widths=widths, parameters=parameters, multiply_adds=parameters * 50, accuracies=accuracies)


def test_a_family_that_does_what_was_asked(told: Told) -> None:
    """The section names the chosen variant with its gains and says met, and so does the twin, with the whole report."""
    good = report()

    assert tell_family(good)
    section, twin = told("digits")
    assert f"Chosen: digits-int8, {FASTER + 1:.2f}x faster, 9.2x smaller, -0.36 points." in section
    assert "at most 1% lost: met. " in section
    assert "| **digits-int8** | digits-teacher | 97.19 [96.6-97.7] | 5 / 6 (1.000) | 131 | 9.2x |" in section
    assert "of 2000 requests of one image" in section
    assert (True, json.loads(good.to_json())) == (twin["met"], twin["report"])


def test_worse_than_its_parent_is_missed(told: Told) -> None:
    """A variant that is fast and small enough but refused by the verdict is no success; the section says why."""
    worse = report(paired=Paired(only_first=0, only_second=13, p_value=0.001))

    assert not tell_family(worse)
    section, twin = told("digits")
    assert f"Nearest miss: digits-int8, {FASTER + 1:.2f}x faster, 9.2x smaller" in section
    assert ": missed. " in section
    assert f"The recipe's own verdict: {worse.verdict.goal}." in section
    assert "worse than digits-teacher: 13 images lost, 0 won" in section
    assert not twin["met"]


def test_the_recipes_own_goal_does_not_suffice(told: Told) -> None:
    """Where a recipe asks for less than the bench does, its chosen variant is still too slow here."""
    slow = report(speedup=FASTER - 1)

    assert slow.verdict.goal_met
    assert not tell_family(slow)
    section, twin = told("digits")
    assert f"Chosen: digits-int8, {FASTER - 1:.2f}x faster" in section
    assert ": missed. " in section
    assert not twin["met"]


@pytest.mark.parametrize(
    "accuracies, padded, judged",
    [
        ((0.960, 0.963, 0.960), False, "-0.60 ± 0.12 points, more than 0.3: not padded."),
        ((0.967, 0.970, 0.967), True, "+0.10 ± 0.12 points, within 0.3: padded."),
    ],
)
def test_the_ladder_says_how_half_the_size_does(
    told: Told, accuracies: tuple[float, ...], padded: bool, judged: str
) -> None:
    """The section tells the difference to the best of half the teacher's size, its error, and padded or not."""
    teacher = report().recipe.network.widths
    rungs = [
        rung((16, 16), 25_000, 0.9, 0.91, 0.9),
        rung((16, 32), 52_000, *accuracies),
        rung(teacher, 100_000, 0.966, 0.967, 0.968),
    ]

    assert (not padded) == tell_ladder(report(), rungs)
    section, twin = told("digits-ladder")
    assert f"The best of about half its size or less (16-32, 0.52 of the parameters): {judged}" in section
    assert [list(one.widths) for one in rungs] == [one["widths"] for one in twin["rungs"]]
    assert (padded, [16, 32]) == (twin["padding"]["padded"], twin["padding"]["half"]["widths"])


def test_threads_are_compared_like_with_like_and_best_with_best(told: Told) -> None:
    """Each number of threads has its own ratio, by rounds; then the fastest layouts of both are compared."""
    seconds = {("slow", 1): (4e-3, 8e-3, 4e-3), ("slow", 2): (3e-3,) * 3, ("fast", 1): (1e-3, 1e-3, 2e-3)}
    seconds |= {("fast", 2): (1.5e-3,) * 3}
    computed = {Layout(model=model, threads=count): np.array(own) for (model, count), own in seconds.items()}
    tell_threads(report(), ("slow", "fast"), computed)

    section, twin = told("digits-threads")
    assert "| slow | 1 | 4.000 | |" in section
    assert "| fast | 1 | 1.000 | 4.00x |" in section
    assert "| fast | 2 | 1.500 | 2.00x |" in section
    assert "Each at its best, fast is 3.00x as fast as slow." in section
    assert {"model": "fast", "threads": 2, "seconds": [1.5e-3] * 3} in twin["layouts"]


def test_sections_stand_side_by_side(told: Told, tmp_path: Path) -> None:
    """A bench that is run again renews its own section, and leaves one heading and the other sections."""
    rungs = [rung((16, 16), 25_000, 0.9), rung(report().recipe.network.widths, 100_000, 0.96)]
    tell_family(report())
    tell_ladder(report(), rungs)
    before = told("digits-ladder")
    tell_family(report(speedup=FASTER + 2))

    assert before == told("digits-ladder")
    assert f"{FASTER + 2:.2f}x faster" in told("digits")[0]
    assert f"{FASTER + 1:.2f}x faster" not in told("digits")[0]
    assert (tmp_path / "RESULTS.md").read_text().startswith(results.TITLE)
