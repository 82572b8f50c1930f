"""Which story each kind of recipe has: its acts, each of which takes the ones before it along."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from training import language, network, run
from training.language_recipe import LanguageRecipe
from training.network_recipe import NetworkRecipe
from training.recipe import AnyRecipe, Recipe

STORIES: Mapping[type[AnyRecipe], ModuleType] = {Recipe: run, LanguageRecipe: language, NetworkRecipe: network}


def story_of(recipe: AnyRecipe) -> Any:
    """The story of a recipe.

    It has the acts `train`, whose last result is what was learnt, `evaluate`, whose last is the report, `publish`, and
    `model_of`, the name and file of a variant; `VARIANTS` are those that are known from the start.
    """
    return STORIES[type(recipe)]
