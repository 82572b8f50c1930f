"""What a search publishes: beside the family of a plan, of a language model, and of a network with several forms."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.artifact.card import Card, load_card
from training.__main__ import app
from training.compression.search import design
from training.runtime import ONNX_RUNTIME
from training.specimens.network import NetworkSpecimen
from training.steps import quantizing

TEACHER = {"digits", "digits-teacher"}
"""What a search that has no time publishes: the teacher, and as it is the best, the family's name for it."""
PLAN = {"digits", "digits-teacher", "digits-student", "digits-pruned", "digits-int8"}


def published(verb: str, recipe: str, folder: Path, *words: str) -> tuple[dict[str, Any], str]:
    """What a command tells that publishes into the folder's `models`, and its log."""
    where = ["--runs", str(folder / "runs"), "--repository", str(folder / "models")]
    told = CliRunner().invoke(app, [verb, recipe, "--profile", "tiny", *where, "--json", *words])
    assert 0 == told.exit_code, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    return found, told.stderr


def names_of(told: dict[str, Any]) -> set[str]:
    return {one["name"] for one in told["published"]}


def card(folder: Path, name: str) -> Card:
    """That of a model's newest version."""
    return load_card(max((folder / "models" / name).glob("*/card.json"), key=lambda path: int(path.parent.name)))


def check(folder: Path) -> None:
    """A service would serve all of it, and every name on a card is that of a model beside it with the same files."""
    done = subprocess.run(
        [sys.executable, "-m", "service", "check", "--model-repository", folder / "models"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    for path in (folder / "models").iterdir():
        own = card(folder, path.name)
        assert own.parent is None or (folder / "models" / own.parent).is_dir()
        assert own.chosen is None or card(folder, own.chosen).files == own.files


@pytest.mark.parametrize("order", [("compress", "publish"), ("publish", "compress")])
def test_a_search_and_the_plan_share_a_repository(story: Path, tmp_path: Path, order: tuple[str, str]) -> None:
    """Each publishes its own names, whichever was first; the family's is what the last one has chosen."""
    shutil.copytree(story / "runs", tmp_path / "runs")
    words = {"compress": ("--minutes", "0.0001"), "publish": ()}
    names = {"compress": TEACHER, "publish": PLAN}
    for verb in order:
        told, _ = published(verb, "digits", tmp_path, *words[verb])
        assert names[verb] == names_of(told)
        check(tmp_path)
        chosen = f"digits-{told['chosen']}" if verb == "compress" else told["verdict"]["chosen"]
        assert chosen == card(tmp_path, "digits").chosen
    assert PLAN == {path.name for path in (tmp_path / "models").iterdir()}


@pytest.mark.parametrize(
    "recipe, numbers, expected",
    [
        ("topics", "weights8", {"topics-teacher-weights8"}),
        ("sunspots-gru", "static", {"sunspots-gru-teacher-static", "sunspots-gru-steps", "sunspots-gru-teacher-steps"}),
    ],
)
def test_all_that_is_worth_having_is_published(
    recipe: str, numbers: str, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A language model in integers, as it was measured; a network in integers, and its steps in floating point."""
    monkeypatch.setattr(quantizing, "methods", lambda _: [numbers])
    monkeypatch.setattr(design, "SHARES", ())
    monkeypatch.setattr(NetworkSpecimen, "runtimes", (ONNX_RUNTIME,))
    told, log = published("compress", recipe, tmp_path, "--objective", "size", "--max-drop", "0.5")
    names = names_of(told)
    assert {recipe, f"{recipe}-teacher"} | expected == names
    check(tmp_path)
    assert f"{recipe}-teacher-{numbers}" == card(tmp_path, recipe).chosen
    if f"{recipe}-steps" in names:
        assert f"teacher-{numbers}: was measured alone; what else is served (steps) is in floating point" in log
        steps, own = card(tmp_path, f"{recipe}-steps"), card(tmp_path, f"{recipe}-teacher")
        assert f"{recipe}-teacher-steps" == steps.chosen
        assert own.metrics["rmse"] == steps.metrics["rmse"]
        assert steps.evidence["parity"] < 1e-3
        assert "latency_p50_seconds" not in steps.metrics
