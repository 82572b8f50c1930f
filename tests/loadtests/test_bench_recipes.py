"""The table of all recipes: what is written, what is merged, and when the exit code says that something is wrong."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from loadtests import bench_recipes, over_seeds
from loadtests.served import ROOT
from tests.training.summaries import WINE
from training.bootstrap import Figure
from training.comparison import Verdict
from training.network_recipe import NetworkRecipe
from training.recipe import load_any
from training.summary import Kept, Summary
from training.timing import Latency

WHEN = dt.datetime(2026, 11, 23, 12, 30, tzinfo=dt.UTC)
EQUAL: Verdict = "equal within the interval"
GOOD = replace(
    WINE,
    recipe="breast-cancer",
    latency_ms=Latency(p50=0.8, p99=2.5, count=40),
    verdict="better",
    commit="38a636b9a6e7",
)
Bench = Callable[..., int]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Runs the bench on recipes of which it is known what they come to, and has it write into `tmp_path`."""

    def call(*words: str, **came: Summary | None) -> int:
        told = {name.replace("_", "-"): one for name, one in came.items()}

        def run(name: str, profile: str, runs: Path) -> Kept | None:
            assert (profile, runs == ROOT / "runs") == ("quick", "--scratch" not in words)
            one = told[name]
            return None if one is None else Kept(summary=one, when=WHEN)

        monkeypatch.setattr(bench_recipes, "_run", run)
        monkeypatch.setattr(bench_recipes, "FOLDER", tmp_path)
        monkeypatch.setattr("sys.argv", ["bench_recipes", *told, *words])
        return bench_recipes.main()

    return call


def test_each_recipe_has_a_row(bench: Bench, tmp_path: Path) -> None:
    """Figure with interval, baseline, parameters, times and goal; a recipe that is run alone keeps the other rows."""
    assert 0 == bench(breast_cancer=GOOD, digits=replace(GOOD, recipe="digits", baseline=None, baseline_value=None))
    assert 0 == bench(breast_cancer=replace(GOOD, parameters=2114))
    rows = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("|")][2:]
    told = "classification | mlp | accuracy 0.9 [0.8, 0.95] | majority class 0.4 | 2,114 | 3 | 0.80 / 2.50 | better"
    assert f"| breast-cancer (quick) | {told} | met | 2026-11-23 12:30 UTC, 38a636b9a6e7 |" == rows[0]
    assert "| digits (quick) | classification | mlp | accuracy 0.9 [0.8, 0.95] |  | 100 |" in rows[1]
    twin = json.loads((tmp_path / "results" / "recipes.json").read_text())
    assert ["breast-cancer", "digits"] == list(twin["recipes"])
    assert 2114 == twin["recipes"]["breast-cancer"]["summary"]["parameters"]


@pytest.mark.parametrize(
    "came, fault",
    [
        (None, "failed"),
        (replace(GOOD, goal_met=False), "missed"),
        (replace(GOOD, baseline_value=0.99), "loses to its baseline"),
    ],
)
def test_what_is_wrong_ends_with_1(
    came: Summary | None, fault: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe that failed, missed its goal or lost to its baseline is named, and the others are run all the same."""
    assert 1 == bench(breast_cancer=came, digits=replace(GOOD, recipe="digits"))
    told = capsys.readouterr()
    assert fault in told.out
    assert "digits" in told.out
    assert "not as they should be: breast-cancer\n" == told.err


def test_a_scratch_run_writes_nothing(bench: Bench, tmp_path: Path) -> None:
    """With --scratch no table is touched."""
    assert 0 == bench("--scratch", breast_cancer=GOOD)
    assert [] == list(tmp_path.iterdir())


def test_a_recipe_over_seeds_has_a_row_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Mean, smallest and largest, of baselines too; how often it won, tied and lost; rows of other recipes stay."""
    figures: dict[int, tuple[float, float, Verdict]] = {
        7: (0.9, 0.8, "better"),
        8: (0.8, 0.8, EQUAL),
        9: (0.7, 0.8, EQUAL),
        10: (0.4, 0.8, "worse"),
    }

    def run(recipe: str, profile: str, runs: Path) -> Kept:
        chosen = load_any(recipe, profile)
        own, rival, verdict = figures[chosen.seed]
        figure = Figure(value=own, low=own, high=own)
        one = replace(GOOD, recipe=chosen.name, figure=figure, baseline_value=rival, verdict=verdict)
        assert runs.parts[-2:] == ("seeds", str(chosen.seed)) or chosen.seed == 7
        return Kept(summary=one, when=WHEN)

    monkeypatch.setattr(bench_recipes, "_run", run)
    monkeypatch.setattr(bench_recipes, "FOLDER", tmp_path)
    for name in ("wine", "breast-cancer"):
        monkeypatch.setattr("sys.argv", ["bench_recipes", name, "--seeds", "4", "--runs", str(tmp_path / "runs")])
        assert 0 == bench_recipes.main()
    rows = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("|")][2:]
    told = "accuracy | 0.7 [0.4, 0.9] | majority class 0.8 [0.8, 0.8] | 1 / 1 / 2 | 1 / 2 / 1"
    assert [f"| {name} (quick) | 7, 8, 9, 10 | {told} |" for name in ("breast-cancer", "wine")] == [
        row.rpartition(" | ")[0] + " |" for row in rows
    ]
    twin = json.loads((tmp_path / "results" / "recipes-seeds.json").read_text())
    assert ["7", "8", "9", "10"] == list(twin["recipes"]["wine"]["summaries"])
    assert not (tmp_path / "results" / "recipes.json").exists()
    before = (tmp_path / "RESULTS.md").read_text()
    figures[7] = (0.1, 0.8, "worse")
    monkeypatch.setattr("sys.argv", ["bench_recipes", "wine", "--seeds", "4", "--scratch"])
    assert 0 == bench_recipes.main()
    assert before == (tmp_path / "RESULTS.md").read_text()


def test_another_seed_changes_nothing_else(tmp_path: Path) -> None:
    """The recipe as a file of its own says the same but for the seed, in every profile."""
    for name in ("wine", "topics", "digits"):
        path = over_seeds.at_seed(name, 11, tmp_path)
        for profile in ("tiny", "quick", "full"):
            own, other = load_any(name, profile), load_any(str(path), profile)
            if isinstance(own, NetworkRecipe):
                own = replace(own, settings={**own.settings, "seed": 11})
            assert replace(own, seed=11) == other


def test_a_seed_that_fails_leaves_no_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A mean of the seeds that went well would be no mean of the seeds."""
    monkeypatch.setattr(bench_recipes, "_run", lambda *_: None)
    monkeypatch.setattr(bench_recipes, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["bench_recipes", "wine", "--seeds", "2", "--runs", str(tmp_path / "runs")])
    assert 1 == bench_recipes.main()
    assert not (tmp_path / "RESULTS.md").exists()


def test_one_seed_is_no_spread(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """At least two are asked for."""
    monkeypatch.setattr("sys.argv", ["bench_recipes", "--seeds", "1"])
    with pytest.raises(SystemExit):
        bench_recipes.main()
    assert "must be at least 2" in capsys.readouterr().err
