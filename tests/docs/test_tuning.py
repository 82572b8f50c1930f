"""What docs/tuning.md says of a search, held against the recipe and the command that it is about."""

import re
from pathlib import Path

import yaml
from typer.testing import CliRunner

from tests.architecture.sources import ROOT
from training.__main__ import app
from training.network_recipe import NetworkRecipe
from training.recipe import RECIPES, load_any

PAGE = (ROOT / "docs" / "tuning.md").read_text()


def test_the_search_of_the_page_is_one(tmp_path: Path) -> None:
    """It can stand in a recipe as it is."""
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    settings = yaml.safe_load((RECIPES / "breast-cancer.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**settings, **yaml.safe_load(text)}))
    recipe = load_any(str(tmp_path / "mine.yaml"), "tiny")
    assert isinstance(recipe, NetworkRecipe)
    assert set(yaml.safe_load(text)["search"]) == set(recipe.search)


def test_the_page_s_commands_and_number_of_trials_are_the_command_s() -> None:
    """Its flags are there, and what it does without them."""
    told = CliRunner().invoke(app, ["tune", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    (default,) = re.findall(r"tune breast-cancer +# (\d+) trials of the profile quick", PAGE)
    assert f"[default: {default}]" in told
    for flag in set(re.findall(r"--[a-z]+", PAGE)):
        assert flag in told
