"""A recipe's tiny story, told by the command line and the real service."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from training.__main__ import app
from training.network_recipe import NetworkRecipe
from training.recipe import load_any


def published(folder: Path, recipe: str) -> dict[str, Any]:
    """The report of `recipe`, whose models are under `models` in `folder` then."""
    words = ["publish", recipe, "--profile", "tiny", "--runs", str(folder / "runs")]
    done = CliRunner().invoke(app, [*words, "--repository", str(folder / "models"), "--json"])
    assert 0 == done.exit_code, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def model(folder: Path, name: str) -> Path:
    """The file of a model's first version."""
    return folder / "models" / name / "1" / "model.onnx"


def tiny(name: str) -> NetworkRecipe:
    """The recipe as its tiny profile has it."""
    recipe = load_any(name, "tiny")
    assert isinstance(recipe, NetworkRecipe)
    return recipe


def asked(name: str) -> float:
    """What the headline figure must reach in the tiny profile."""
    value = tiny(name).goal.value
    assert value is not None
    return value
