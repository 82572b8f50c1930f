"""`hone-train compress` on a network's recipe: smaller networks learn, and are measured beside what they learn from."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner, Result

from training import checkpoint
from training.__main__ import app
from training.compression.search import design
from training.data import catalogue
from training.recipe import load_any
from training.session import open_model


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
        result = compress(runs, "--objective", "size", "--max-drop", "0.03", "--json")
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
    for name, step in (("teacher", "export"), ("pruned50", "export-pruned50"), ("shallow50", "export-shallow50")):
        answers = open_model(runs / "digits-mlp" / "tiny" / step / "classifier.onnx")({"image": validation.inputs})
        right = np.mean(answers["probabilities"].argmax(axis=1) == validation.targets)
        assert rows[name]["score"] == pytest.approx(right)
        assert rows[name]["drop"] == pytest.approx(1 - right / rows["teacher"]["score"])


def test_the_chosen_is_measured_on_the_test_part(told: dict[str, Any]) -> None:
    """With its interval, and by how much it is apart from the teacher on the same inputs."""
    chosen, teacher = told["tested"][told["chosen"]], told["tested"]["teacher"]
    assert chosen["gain"]["size"] > 3
    assert chosen["figure"]["low"] <= chosen["figure"]["value"] <= chosen["figure"]["high"]
    apart = chosen["figure"]["value"] - teacher["figure"]["value"]
    assert chosen["difference"]["value"] == pytest.approx(apart)
    assert chosen["verdict"] in {"better", "equal within the interval", "worse"}
    assert teacher["difference"] is None


def test_a_search_goes_on_where_it_was(runs: Path, told: dict[str, Any]) -> None:
    """What was made isn't made again, and comes to the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(design, "SHARES", (0.5,))
        again = compress(runs, "--objective", "size", "--max-drop", "0.03", "--json")
    assert told["rows"] == json.loads(again.stdout)["rows"]
    assert {"teacher", told["chosen"]} <= json.loads(again.stdout)["tested"].keys()
    assert not [line for line in again.stderr.splitlines() if " s   " in line and line.split()[0] != "data"]
