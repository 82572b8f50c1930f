"""`hone-train compress` on a network's recipe: smaller networks learn, and are measured beside what they learn from."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner, Result

from service.artifact.card import load_card
from service.artifact.config import read_config
from tests.signing_keys import KeyPair, RequireTool, make_keys
from training import checkpoint, serving
from training.__main__ import app
from training.compression.search import design
from training.data import catalogue
from training.gain import Gain
from training.recipe import load_any
from training.session import open_model
from training.steps.exploring import Exploration
from training.timing import predict

WORDS = ("--objective", "size", "--max-drop", "0.03")
SLOWER = Gain(size=0.5, compute=0.5, latency=0.5, throughput=0.5)


def compress(runs: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["compress", "digits-mlp", "--profile", "tiny", "--runs", str(runs), *words])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("searched")


@pytest.fixture(scope="module")
def told(runs: Path) -> dict[str, Any]:
    """What came of a search that tries networks of half the size, and what lies between them and the whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(design, "SHARES", (0.5,))
        result = compress(runs, *WORDS, "--json")
    assert 0 == result.exit_code, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def network(runs: Path, step: str) -> nn.Module:
    return checkpoint.load_network(runs / "digits-mlp" / "tiny" / step / "network.safetensors", nn.Module)


def parameters(one: nn.Module) -> int:
    return sum(weights.numel() for weights in one.parameters())


def test_networks_of_half_the_size_are_made_by_each_route(runs: Path, told: dict[str, Any]) -> None:
    """Each learns; an MLP has about half of the weights where it has half of the multiplications."""
    names = {row["network"] for row in told["rows"]}
    assert {"teacher", "pruned50", "shallow50"} <= names
    whole = parameters(network(runs, "fit"))
    for name in ("pruned50", "shallow50"):
        assert 0.3 < parameters(network(runs, name)) / whole < 0.65
        assert {row["parent"] for row in told["rows"] if row["variant"] == name} == {"teacher"}


def test_scores_are_those_of_the_files_on_validation_inputs(runs: Path, told: dict[str, Any]) -> None:
    """Of every network in floating point, by hand."""
    recipe = load_any("digits-mlp", "tiny")
    validation = catalogue.gather(recipe.data, recipe.seed).dataset.validation
    rows = {row["variant"]: row for row in told["rows"]}
    made = [one for one in told["rows"] if not one["failed"]]
    floats = [one["variant"] for one in made if (one["numbers"], one["runtime"]) == ("f32", "onnxruntime")]
    assert ["teacher", "pruned50"] == floats[:2]
    for name in floats:
        step = "export" if name == "teacher" else f"export-{name}"
        answers = open_model(runs / "digits-mlp" / "tiny" / step / "classifier.onnx")({"image": validation.inputs})
        right = np.mean(answers["probabilities"].argmax(axis=1) == validation.targets)
        assert rows[name]["score"] == pytest.approx(right)
        assert rows[name]["drop"] == pytest.approx(1 - right / rows["teacher"]["score"])


def test_the_chosen_is_measured_on_the_test_part(told: dict[str, Any]) -> None:
    """With its interval, and how it is apart from the teacher, and what it was made from, on the same inputs."""
    chosen, teacher = told["tested"][told["chosen"]], told["tested"]["teacher"]
    assert chosen["gain"]["size"] > 3
    assert chosen["figure"]["low"] <= chosen["figure"]["value"] <= chosen["figure"]["high"]
    against = chosen["against_teacher"]
    apart = chosen["figure"]["value"] - teacher["figure"]["value"]
    assert against["difference"]["value"] == pytest.approx(apart)
    assert against["verdict"] in {"better", "equal within the interval", "worse"}
    count = len(catalogue.gather((recipe := load_any("digits-mlp", "tiny")).data, recipe.seed).dataset.test)
    assert against["pairs"]["only_first"] - against["pairs"]["only_second"] == pytest.approx(apart * count)
    assert (None, None) == (teacher["against_teacher"], teacher["against_parent"])
    assert chosen["over_parent"]["size"] > 1


def test_every_class_is_told(told: dict[str, Any]) -> None:
    """What is right of it, by how much that is apart from the teacher's, and what confidences are worth."""
    chosen, teacher = told["tested"][told["chosen"]], told["tested"]["teacher"]
    slices = chosen["against_teacher"]["slices"]
    assert "recall" == chosen["against_teacher"]["sliced"]
    assert [str(digit) for digit in range(10)] == sorted(slices)
    for name, one in slices.items():
        apart = chosen["by"]["recall"][name]["value"] - teacher["by"]["recall"][name]["value"]
        assert one["value"] == pytest.approx(apart)
    assert 0 <= chosen["figures"]["calibration error"]["value"] < 0.5


def test_speed_memory_and_energy_are_told(told: dict[str, Any]) -> None:
    """By batch size; where the machine has no counters, that."""
    for name, one in told["tested"].items():
        assert {"1", "8"} == set(one["speed"]["latency_ms"])
        evidence = told["evidence"][name]
        assert evidence["memory"]["own"] > 0
        assert (evidence["energy"]["joules"] is None) == bool(evidence["energy"]["reason"])
        assert evidence["size"]["stored"] == one["size"]
    assert told["minutes"] > 0


def test_a_search_goes_on_where_it_was(runs: Path, told: dict[str, Any]) -> None:
    """What was made isn't made again, and comes to the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(design, "SHARES", (0.5,))
        again = compress(runs, *WORDS, "--json")
    assert told["rows"] == json.loads(again.stdout)["rows"]
    assert {"teacher", told["chosen"]} <= json.loads(again.stdout)["tested"].keys()
    assert not [line for line in again.stderr.splitlines() if " s   " in line and line.split()[0] != "data"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory, require_tool: RequireTool) -> KeyPair:
    return make_keys(require_tool("openssl"), tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def repository(runs: Path, told: dict[str, Any], keys: KeyPair) -> Path:
    """Where the same search, which finds everything done, has published what it found, twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(design, "SHARES", (0.5,))
        words = [*WORDS, "--repository", str(runs / "models"), "--sign", str(keys.private), "--keep", "1"]
        first = compress(runs, *words, "--json")
        cards = {path: path.read_bytes() for path in (runs / "models").rglob("card.json")}
        again = compress(runs, *words)
    published = {one["name"]: one for one in json.loads(first.stdout)["published"]}
    assert {"digits-mlp", *(f"digits-mlp-{name}" for name in told["tested"])} == published.keys()
    assert all(one["new"] for one in published.values())
    assert cards == {path: path.read_bytes() for path in (runs / "models").rglob("card.json")}
    assert "unchanged digits-mlp version 1" in again.stdout
    return runs / "models"


def test_the_chosen_is_published_under_the_familys_name(repository: Path, told: dict[str, Any]) -> None:
    """And all that is worth having under names of their own, made from what their cards name."""
    rows = {row["variant"]: row for row in told["rows"]}
    for name, tested in told["tested"].items():
        card = load_card(repository / f"digits-mlp-{name}" / "1" / "card.json")
        parent = rows[name]["parent"]
        assert ("digits-mlp", name, None) == (card.family, card.variant, card.chosen)
        assert card.parent == (f"digits-mlp-{parent}" if parent else None)
        assert card.metrics["accuracy"] == tested["figure"]["value"]
        assert card.metrics["speedup_compute"] == tested["gain"]["compute"]
        assert card.metrics["size_bytes"] == tested["size"]
        assert card.evidence["test"] == tested
        assert card.evidence["ran"] == told["evidence"][name]
        assert told["budget"] == card.evidence["search"]["budget"]
        config = read_config(repository / f"digits-mlp-{name}" / "config.pbtxt", name=f"digits-mlp-{name}")
        assert config.backend == rows[name]["runtime"].removesuffix("-bf16")
    chosen = load_card(repository / "digits-mlp" / "1" / "card.json")
    assert (f"digits-mlp-{told['chosen']}", told["chosen"]) == (chosen.chosen, chosen.variant)
    own = load_card(repository / f"digits-mlp-{told['chosen']}" / "1" / "card.json")
    assert (own.files, own.metrics, own.parent) == (chosen.files, chosen.metrics, chosen.parent)


def test_what_is_published_is_served(repository: Path, told: dict[str, Any], keys: KeyPair) -> None:
    """By a service that trusts this key alone: all are ready, and the family's answers are the chosen one's."""
    checked = subprocess.run(
        [
            sys.executable,
            "-m",
            "service",
            "check",
            "--model-repository",
            repository,
            "--require-signature",
            keys.public,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == checked.returncode, checked.stdout + checked.stderr
    recipe = load_any("digits-mlp", "tiny")
    images = catalogue.gather(recipe.data, recipe.seed).dataset.test.inputs[:20]
    names = [path.name for path in sorted(repository.iterdir()) if path.is_dir()]
    with serving.serving(repository, names) as served:
        answers = {name: predict(served, name, {"image": images})["probabilities"] for name in names}
    assert np.array_equal(answers["digits-mlp"], answers[f"digits-mlp-{told['chosen']}"])
    assert all(np.allclose(one.sum(axis=1), 1, atol=1e-2) for one in answers.values())


def test_nothing_is_published_if_the_goal_is_missed(runs: Path, told: dict[str, Any], tmp_path: Path) -> None:
    """Exit code 4; what it would have cost is in the text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(design, "SHARES", (0.5,))
        missed = compress(runs, *WORDS, "--at-least", "1000", "--repository", str(tmp_path / "models"))
    assert (4, True) == (missed.exit_code, f"best within the budget is {told['chosen']}" in missed.stdout)
    assert "nothing: the goal isn't met" in missed.stdout
    assert not (tmp_path / "models").exists()


def test_the_network_itself_is_published_where_the_test_part_refutes_the_rest(
    runs: Path, told: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing gains anything when it is timed again; where more is asked the goal is missed."""
    monkeypatch.setattr(design, "SHARES", (0.5,))
    tested = Exploration.tested

    def unlucky(self: Exploration, *asked: Any) -> dict[str, Any]:
        found = tested(self, *asked)
        return {name: one if name == design.TEACHER else replace(one, gain=SLOWER) for name, one in found.items()}

    monkeypatch.setattr(Exploration, "tested", unlucky)
    words = [*WORDS, "--repository", str(tmp_path / "models"), "--json"]
    result = compress(runs, *words)
    kept = json.loads(result.stdout)
    assert (0, True, "teacher") == (result.exit_code, kept["met"], kept["chosen"])
    assert told["chosen"] == kept["refuted"][0]
    assert {"teacher", *kept["refuted"]} <= kept["evidence"].keys()
    assert "digits-mlp-teacher" == load_card(tmp_path / "models" / "digits-mlp" / "1" / "card.json").chosen
    missed = compress(runs, *words, "--at-least", "1.5")
    assert (4, told["chosen"]) == (missed.exit_code, json.loads(missed.stdout)["chosen"])
    assert json.loads(missed.stdout)["verdict"].startswith(f"goal missed by {told['chosen']}: ")


@pytest.mark.parametrize("words", [["--keep", "1"], ["--sign", "missing.key"]])
def test_flags_of_publishing_need_a_repository(tmp_path: Path, words: list[str]) -> None:
    """Exit code 2 and a line, before anything is trained."""
    result = compress(tmp_path / "runs", *words)
    assert (2, True) == (result.exit_code, "error: --keep, --sign: are for what is published" in result.stderr)
    assert not (tmp_path / "runs").exists()
