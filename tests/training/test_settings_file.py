"""Settings are whole: what a recipe leaves to its defaults is told, and decides, as what it says."""

from dataclasses import fields
from typing import Any

import msgspec
import pytest

from training import network_recipe
from training.cache import Step
from training.network_recipe import BY_DATA, SECTIONS, NetworkRecipe
from training.optimization.settings import FitSettings
from training.recipe import DECIDED, load_any, recipe_names
from training.tuning.space import Choices, own_values

PROFILE = "tiny"
RECIPES = {name: load_any(name, PROFILE) for name in recipe_names()}
NETWORKS = sorted(name for name, one in RECIPES.items() if isinstance(one, NetworkRecipe))
OTHERS = sorted(set(RECIPES) - set(NETWORKS))
SHORT = {
    "about": "as short as can be",
    "family": "wine",
    "seed": 1,
    "threads": 1,
    "data": {"source": "tabular"},
    "problem": {"kind": "classification"},
    "network": {"kind": "mlp"},
    "augment": [{"name": "noise"}],
    "fit": {"epochs": 1},
}
LONG = {
    **SHORT,
    "problem": {"kind": "classification", "balance": False},
    "task": {"label_smoothing": 0.0, "class_weights": []},
    "augment": [{"name": "noise", "deviation": 0.05}],
    "fit": {"epochs": 1, "milestones": [0.5, 0.75], "clip": 0, "watch": "loss"},
    "goal": {"match_baselines": True},
    "search": {},
}


def parsed(settings: dict[str, Any]) -> NetworkRecipe:
    return network_recipe.parse(settings, file="mine.yaml", profile=PROFILE)


def of(name: str) -> NetworkRecipe:
    recipe = RECIPES[name]
    assert isinstance(recipe, NetworkRecipe)
    return recipe


@pytest.mark.parametrize("name", NETWORKS)
def test_all_settings_make_the_same_recipe(name: str) -> None:
    """None is missing, and none is there that a recipe couldn't have said."""
    recipe = of(name)
    told = recipe.all_settings
    again = network_recipe.parse(told, file=f"{name}.yaml", profile=PROFILE)
    for part in (*SECTIONS, "augment", "search"):
        assert getattr(recipe, part) == getattr(again, part), part
    assert told == again.all_settings
    assert {field.name for field in fields(FitSettings)} == set(told["fit"])
    assert not BY_DATA.keys() & {f"{part}.{key}" for part in SECTIONS for key in told[part]}


def test_a_default_is_the_same_whether_it_is_said_or_not() -> None:
    """In what is told, and in what decides whether a step is done again."""
    short, long = parsed(SHORT), parsed(LONG)
    assert short.all_settings == long.all_settings
    keys = [
        Step(name="fit", inputs={"fit": one.fit, "augment": list(one.augment), "all": told}, code=(), versions={}).key()
        for one in (short, long)
        for told in (one.all_settings, msgspec.to_builtins(one.task))
    ]
    assert keys[:2] == keys[2:]


@pytest.mark.parametrize("name", OTHERS)
def test_a_recipe_of_another_kind_is_written_out_whole(name: str) -> None:
    """With every default but what is decided by something else, of which the default would say nothing true."""
    told = msgspec.to_builtins(RECIPES[name])
    assert {field.name for field in fields(FitSettings)} == set(told["fit"])
    assert "class_weights" in told["task"] or "label_smoothing" in told["task"]
    said = {f"{part}.{key}" for part, values in told.items() if isinstance(values, dict) for key in values}
    assert not DECIDED.keys() & said


def test_what_is_searched_may_stand_at_its_default() -> None:
    """Numbers, words, lists, and a list of changes as it is said."""
    space = {
        "fit.clip": Choices(choices=(0.0, 1.0)),
        "fit.optimizer": Choices(choices=("sgd", "adamw")),
        "fit.milestones": Choices(choices=([0.5, 0.75], [0.9])),
        "task.label_smoothing": Choices(choices=(0.0, 0.1)),
    }
    wanted = {"fit.clip": 0.0, "fit.optimizer": "adamw", "fit.milestones": [0.5, 0.75], "task.label_smoothing": 0.0}
    assert wanted == own_values(parsed(SHORT).all_settings, space)
