"""Recipes: what a file may say, and how a mistake in it is named."""

from dataclasses import FrozenInstanceError, asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import SettingsError
from training.recipe import RECIPES, Recipe, load_recipe, recipe_names


def variant_of_digits(folder: Path, **changes: Any) -> str:
    settings = yaml.safe_load((RECIPES / "digits.yaml").read_text())
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**settings, **changes}))
    return str(path)


@pytest.mark.parametrize("profile", ["tiny", "quick", "full"])
@pytest.mark.parametrize("name", recipe_names())
def test_bundled_recipes_are_valid_in_every_profile(name: str, profile: str) -> None:
    """Every recipe that comes with the package can be read in the three profiles."""
    recipe = load_recipe(name, profile)
    assert (recipe.name, recipe.profile) == (name, profile)


def test_a_profile_changes_only_what_it_names() -> None:
    """A profile's settings replace the file's own one by one, not section by section."""
    quick, full = asdict(load_recipe("digits", "quick")), asdict(load_recipe("digits", "full"))
    assert quick["fit"]["epochs"] != full["fit"]["epochs"]
    for recipe in (quick, full):
        del recipe["profile"], recipe["fit"]["epochs"], recipe["fit"]["patience"], recipe["evaluate"]
    assert quick == full


def test_a_recipe_can_be_any_yaml_file(tmp_path: Path) -> None:
    """A path is taken as it is, and names the recipe."""
    assert load_recipe(variant_of_digits(tmp_path, seed=99), "quick").seed == 99


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"fitt": {}}, "unknown key `fitt`, did you mean `fit`"),
        ({"fit": {"epochs": 1, "lerning_rate": 1}}, "unknown key `fit.lerning_rate`, did you mean `learning_rate`"),
        ({"network": {"xyz": 1}}, "unknown key `network.xyz`; there are widths"),
        ({"fit": {"epochs": "many"}}, "fit.epochs"),
        ({"fit": {"epochs": 0}}, "must be at least 1"),
        ({"fit": 3}, "fit"),
        ({"quantize": {"method": "guess"}}, "quantize.method"),
        ({"data": {"test": 0.95}}, "leave a tenth"),
        ({"network": {"widths": []}}, "widths"),
        ({"evaluate": {"batch_sizes": [2]}}, "batch size 1"),
        ({"budget": {"min_accuracy": 2}}, "min_accuracy"),
        ({"profiles": {"quick": {"fit": 1}}}, "fit"),
        ({"profiles": {"quick": 1}}, "profiles.quick: must map"),
        ({"profiles": {"quick": {"fit": {"epoch": 1}}}}, "unknown key `fit.epoch`, did you mean `epochs`"),
        ({"profiles": 7}, "profiles"),
    ],
)
def test_a_mistake_is_named_by_file_and_key(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    """A wrong key or value is refused with the file, the key and, for a misspelling, the nearest key."""
    with pytest.raises(SettingsError, match=f"^mine.yaml: .*{text}"):
        load_recipe(variant_of_digits(tmp_path, **changes), "quick")


@pytest.mark.parametrize(
    "name,profile,text",
    [
        ("digit", "quick", "no recipe `digit`, did you mean `digits`"),
        ("digits", "quik", "no profile `quik`, did you mean `quick`"),
        ("gone.yaml", "quick", "no recipe `gone.yaml`"),
    ],
)
def test_a_wrong_name_gets_a_suggestion(name: str, profile: str, text: str) -> None:
    """A recipe or profile that doesn't exist is refused with the nearest that does."""
    with pytest.raises(SettingsError, match=text):
        load_recipe(name, profile)


@pytest.mark.parametrize("content", ["a: [", "- 1\n", "\x00"])
def test_what_is_not_a_yaml_mapping_is_refused(tmp_path: Path, content: str) -> None:
    """A file that isn't YAML, or isn't a mapping, is refused by name."""
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(SettingsError, match=r"^mine\.yaml: "):
        load_recipe(str(tmp_path / "mine.yaml"), "quick")


def test_a_recipe_is_frozen(recipe: Recipe) -> None:
    """Nothing changes a recipe after it was checked."""
    with pytest.raises(FrozenInstanceError):
        recipe.seed = 1  # type: ignore[misc]
