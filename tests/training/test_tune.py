"""`hone-train tune`, told by the real command line: what is found, kept, gone on with, and said of mistakes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from typer.testing import CliRunner, Result

from training.__main__ import app
from training.recipe import RECIPES
from training.tuning.screen import TuneProgress

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240.0
TRIALS = 6
SEARCH = {
    "network.widths": {"choices": [[8], [32, 32]]},
    "fit.learning_rate": {"low": 0.0003, "high": 0.03, "log": True},
}


def written(folder: Path, **changes: Any) -> Path:
    """The recipe of breast cancer in a file of its own, with `changes`."""
    settings = yaml.safe_load((RECIPES / "breast-cancer.yaml").read_text())
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**settings, "search": SEARCH, **changes}))
    return path


def hone(verb: str, recipe: Path | str, runs: Path, *words: str) -> Result:
    return CliRunner().invoke(app, [verb, str(recipe), "--profile", "tiny", "--runs", str(runs), *words])


def tried(told: Any) -> list[Any]:
    """What was tried and came out, without times."""
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in told["trials"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that nothing interrupted."""
    folder = tmp_path_factory.mktemp("tuned")
    result = hone("tune", written(folder), folder / "runs", "--trials", str(TRIALS), "--json")
    assert 0 == result.exit_code, result.output
    (folder / "told.json").write_text(result.stdout)
    shutil.copy(folder / "runs" / "mine" / "tiny" / "tune" / "tune.json", folder / "kept.json")
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> Any:
    return json.loads((folder / "told.json").read_text())


def test_the_best_trial_is_told_and_kept(folder: Path, told: Any) -> None:
    """The first one tries the recipe as it is; the best has the smallest validation loss of the finished ones."""
    tune = folder / "runs" / "mine" / "tiny" / "tune"
    assert list(range(1, TRIALS + 1)) == [trial["number"] for trial in told["trials"]]
    assert {"network.widths": [32, 32], "fit.learning_rate": 0.003} == told["trials"][0]["values"]
    finished = [trial["value"] for trial in told["trials"] if trial["state"] == "finished"]
    assert min(finished) == told["best"]["value"] < told["trials"][0]["value"]
    assert told == json.loads((folder / "kept.json").read_text())
    assert ("done", "loss", "smaller") == (told["ended"], told["watch"], told["better"])
    assert set(SEARCH) == set(told["importance"])
    found = {"best.yaml", "coordinates.svg", "importance.svg", "trials.jsonl", "tune.html", "tune.json"}
    assert found == {path.name for path in tune.iterdir()}


def test_the_best_recipe_trains_to_what_was_found(folder: Path, told: Any) -> None:
    """`best.yaml` is a recipe like any other: the same seed, the same fit, the same validation loss."""
    best = Path(told["file"])
    settings = yaml.safe_load(best.read_text())
    assert told["best"]["values"] == {
        "network.widths": settings["network"]["widths"],
        "fit.learning_rate": settings["fit"]["learning_rate"],
    }
    assert "search" not in settings
    assert 0 == hone("train", best, folder / "again").exit_code
    history = json.loads((folder / "again" / "best" / "tiny" / "fit" / "history.json").read_text())
    assert told["best"]["value"] == history["epochs"][history["best"]]["validation"]["loss"]


def test_the_page_has_all_trials_and_needs_nothing_else(folder: Path, told: Any) -> None:
    """Every trial with its values, the plots as pictures in it, and no address of another file."""
    tune = folder / "runs" / "mine" / "tiny" / "tune"
    page = (tune / "tune.html").read_text()
    for trial in told["trials"]:
        assert f'<th scope="row">{trial["number"]}</th><td>{trial["value"]:.4g}</td>' in page
    assert page.count('src="data:image/svg+xml;base64,') == page.count("<img") == 2
    assert "<script" not in page
    assert "://" not in page
    for name in ("coordinates", "importance"):
        texts = "".join(ET.fromstring((tune / f"{name}.svg").read_text()).itertext())
        assert all(key in texts for key in SEARCH)


def test_a_finished_search_is_shown_again_and_goes_on_when_more_is_asked(folder: Path, told: Any) -> None:
    """The same number of trials tries nothing, a larger one tries the rest; fewer than there are is no mistake."""
    for count in (TRIALS, 2):
        again = hone("tune", folder / "mine.yaml", folder / "runs", "--trials", str(count))
        assert 0 == again.exit_code
        assert "trial 1   " not in again.stdout
        lines = again.stdout.replace("\n", "")
        assert f"best is trial {told['best']['number']}: validation loss {told['best']['value']:.4g}" in lines
        assert f"hone-train publish {told['file']} --profile tiny" in lines
        tune = folder / "runs" / "mine" / "tiny" / "tune"
        assert TRIALS == json.loads((tune / "tune.json").read_text())["asked"]
        command = f"hone-train tune {folder / 'mine.yaml'} --profile tiny --trials {TRIALS}"
        assert f"# Found by `{command}`, trial {told['best']['number']}: " in (tune / "best.yaml").read_text()


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_and_finds_the_same(folder: Path, told: Any, tmp_path: Path) -> None:
    """SIGKILL in the middle of a trial: those before it stay, and all are those of a search that wasn't killed."""
    recipe, tune = folder / "mine.yaml", tmp_path / "runs" / "mine" / "tiny" / "tune"
    words = ["tune", str(recipe), "--profile", "tiny", "--runs", str(tmp_path / "runs"), "--trials", str(TRIALS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([sys.executable, "-m", "training", *words], cwd=ROOT, env=environment) as process:
        deadline = time.monotonic() + PATIENCE
        while not (tune / "trial-3").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert -signal.SIGKILL == process.wait()
    assert (tune / "best.yaml").exists()
    gone_on = CliRunner().invoke(app, [*words, "--json"])
    assert 0 == gone_on.exit_code
    assert tried(told) == tried(json.loads(gone_on.stdout))
    assert "trial 3" in gone_on.stderr
    assert "trial 2" not in gone_on.stderr
    assert not list(tune.glob("trial-*"))


def test_ctrl_c_ends_with_the_best_so_far(
    folder: Path, told: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table and the files are those of the trials before it, and the exit code is that of an interruption."""

    def stop(self: TuneProgress, trial: int, epoch: int, value: float) -> None:
        if trial == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TuneProgress, "epoch", stop)
        result = hone("tune", folder / "mine.yaml", tmp_path, "--trials", str(TRIALS), "--json")
    assert 130 == result.exit_code
    assert "interrupted; the same command goes on where it stopped" in result.stderr
    so_far = json.loads(result.stdout)
    assert "interrupted" == so_far["ended"]
    assert tried(told)[:2] == tried(so_far)
    assert Path(so_far["file"]).is_file()
    rest = hone("tune", folder / "mine.yaml", tmp_path, "--trials", "4", "--json")
    assert tried(told)[:4] == tried(json.loads(rest.stdout))


def test_time_that_is_up_ends_with_the_best_so_far(folder: Path, told: Any) -> None:
    """Nothing new is tried; where nothing was finished, that is said."""
    result = hone("tune", folder / "mine.yaml", folder / "runs", "--trials", "99", "--minutes", "0", "--json")
    assert 0 == result.exit_code
    assert ("up", tried(told)) == ((so_far := json.loads(result.stdout))["ended"], tried(so_far))
    result = hone("tune", folder / "mine.yaml", folder / "others", "--minutes", "0")
    assert 1 == result.exit_code
    assert "error: mine: not one of 0 trials was finished" in result.stderr


@pytest.mark.parametrize(
    "key,good,bad,text",
    [
        ("fit.weight_decay", 0.1, 1e30, "became"),
        ("network.kind", "mlp", "resnet", "network: one of kind `resnet` doesn't fit inputs"),
    ],
)
def test_trials_that_cannot_be_done_are_kept_and_end_nothing(
    tmp_path: Path, key: str, good: Any, bad: Any, text: str
) -> None:
    """A loss that is no number, and a network that doesn't fit the data, are told as what they are."""
    recipe = written(tmp_path, search={key: {"choices": [good, bad]}}, network={"kind": "mlp"})
    result = hone("tune", recipe, tmp_path / "runs", "--trials", "4", "--json")
    assert 0 == result.exit_code, result.output
    trials = json.loads(result.stdout)["trials"]
    assert 4 == len(trials)
    assert {good, bad} == {trial["values"][key] for trial in trials}
    for trial in trials:
        assert (trial["state"] == "failed") == (text in trial["note"]) == (trial["values"][key] == bad)


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"search": {}}, "mine: has no `search`, which says what may be tried"),
        ({"search": {"fit.clip": {"low": -1.0, "high": 1.0}}}, "(`search.fit.clip` would try -1.0)"),
        ({"fit": {"epochs": 2, "watch": None}}, "mine: `fit.watch` is null, and must name what"),
    ],
)
def test_a_recipe_that_cannot_be_tuned_is_told_so(tmp_path: Path, changes: Any, text: str) -> None:
    """By the key, with exit code 2."""
    result = hone("tune", written(tmp_path, **changes), tmp_path / "runs")
    assert 2 == result.exit_code
    assert text in result.stderr


def test_other_kinds_of_recipes_are_not_tuned(tmp_path: Path) -> None:
    """Which kind can be is said."""
    result = hone("tune", "digits", tmp_path)
    assert 2 == result.exit_code
    assert "error: `digits` can't be tuned; recipes of the kind `network` can\n" == result.stderr


def test_a_recipe_outside_its_own_search_is_told(tmp_path: Path) -> None:
    """What it sets itself isn't tried then, so the best may be worse than it."""
    recipe = written(tmp_path, search={"fit.learning_rate": {"choices": [0.5, 0.6]}})
    result = hone("tune", recipe, tmp_path / "runs", "--trials", "1")
    assert 0 == result.exit_code, result.output
    assert "the recipe as it is won't be tried" in " ".join(result.output.split())


def test_a_recipe_is_tried_that_leaves_what_is_searched_at_its_default(tmp_path: Path) -> None:
    """It is its own first trial, also with changes of inputs that it says in short, and nobody is warned."""
    own = [{"name": "noise"}]
    search = {"fit.clip": {"choices": [0.0, 1.0]}, "augment": {"choices": [own, []]}}
    result = hone("tune", written(tmp_path, search=search, augment=own), tmp_path / "runs", "--trials", "1", "--json")
    assert 0 == result.exit_code, result.output
    assert {"fit.clip": 0.0, "augment": own} == json.loads(result.stdout)["trials"][0]["values"]
    assert "won't be tried" not in " ".join(result.stderr.split())
