"""The search space of a recipe: what may stand there, and how a tried value gets into the settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.errors import SettingsError
from training.network_recipe import NetworkRecipe
from training.recipe import RECIPES, load_any
from training.tuning.space import Choices, Range, changed, own_values, space


@pytest.fixture
def searching(tmp_path: Path) -> Any:
    """The recipe of breast cancer with another search."""

    def load(search: Any) -> NetworkRecipe:
        settings = yaml.safe_load((RECIPES / "breast-cancer.yaml").read_text())
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({**settings, "search": search}))
        recipe = load_any(str(path), "tiny")
        assert isinstance(recipe, NetworkRecipe)
        return recipe

    return load


def test_ranges_and_choices_are_told_apart(searching: Any) -> None:
    """Whole numbers where both ends are, any others else, and values as they stand in a recipe."""
    found = searching(
        {
            "fit.batch_size": {"low": 16, "high": 64, "step": 16},
            "fit.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
            "network.widths": {"choices": [[], [16, 16]]},
        }
    ).search
    assert Range(low=16, high=64, step=16) == found["fit.batch_size"]
    assert found["fit.batch_size"].whole
    assert Range(low=0.001, high=0.1, log=True) == found["fit.learning_rate"]
    assert not found["fit.learning_rate"].whole
    assert Choices(choices=([], [16, 16])) == found["network.widths"]


@pytest.mark.parametrize(
    "search,text",
    [
        (
            {"fit.learning_rat": {"low": 0.1, "high": 0.2}},
            "unknown key `fit.learning_rat`, did you mean `learning_rate`",
        ),
        ({"fit.learning_rate": {"low": 0.1, "high": 2.0}}, "`search.fit.learning_rate` would try 2.0"),
        ({"fit.epochs": {"low": 0, "high": 9}}, "`search.fit.epochs` would try 0"),
        ({"fit.epochs": {"low": 1.0, "high": 9.5}}, "`search.fit.epochs` would try"),
        ({"network.widths": {"choices": [[8], ["wide"]]}}, "`search.network.widths` would try"),
        ({"network.features": {"low": 1, "high": 9}}, "`network.features` is decided by the data"),
        ({"network.kind": {"choices": ["mlp", "mpl"]}}, "`search.network.kind` would try mpl"),
        ({"data.table": {"choices": ["wine", "breast_cancer"]}}, "`search.data.table` can't be searched"),
        ({"netwrok.dropout": {"low": 0.1, "high": 0.2}}, "can't be searched, did you mean `network`"),
        ({"fit.watch": {"choices": ["loss", "accuracy"]}}, "it is what trials are judged by"),
        ({"fit.clip": {"low": 0.1, "hihg": 0.2}}, "unknown key `search.fit.clip.hihg`, did you mean `high`"),
        ({"fit.clip": {"low": 0.2, "high": 0.1}}, "low, high: the first must be below the second"),
        ({"fit.clip": {"low": 0.0, "high": 0.1, "log": True}}, "log: low must be above 0"),
        ({"fit.clip": {"low": 0.0, "high": 1.0, "step": 0.3}}, "step: high must be low and some steps"),
        ({"fit.clip": {"low": 0.0, "high": float("inf")}}, "must be finite"),
        ({"fit.epochs": {"low": 1, "high": 9, "step": 0.5}}, "step: must be whole"),
        ({"fit.clip": {"choices": [0.1]}}, "choices: must be at least 2"),
        ({"fit.clip": {"choices": [0.1, 0.1]}}, "choices: one of them stands twice"),
        ({"fit.clip": 0.1}, "search.fit.clip: must map keys to settings"),
        ({"fit.clip": {"low": "a", "high": 2}}, "search.fit.clip: "),
        (["fit.clip"], "search"),
    ],
)
def test_what_the_recipe_would_refuse_is_refused_at_once(searching: Any, search: Any, text: str) -> None:
    """Before anything is tried, by the file, the key, and what may be meant."""
    with pytest.raises(SettingsError, match=re.escape(text)) as caught:
        searching(search)
    assert str(caught.value).startswith("mine.yaml: ")


def test_a_tried_value_takes_the_place_of_what_stands_there() -> None:
    """At any depth, also where nothing stands yet; the settings that it is put into stay as they are."""
    settings = {"fit": {"epochs": 3}, "search": {"fit.clip": {}}}
    assert {"fit": {"epochs": 5, "clip": 1.0}, "augment": []} == changed(
        settings, {"fit.epochs": 5, "fit.clip": 1.0, "augment": []}
    )
    assert {"fit": {"epochs": 3}, "search": {"fit.clip": {}}} == settings


def test_the_recipes_own_values_are_known_where_they_may_be_tried() -> None:
    """They are nothing where one of them is missing, or outside of the space."""
    found = space({"fit.epochs": {"low": 1, "high": 9, "step": 2}, "fit.clip": {"choices": [0, 1]}}, file="mine.yaml")
    assert {"fit.epochs": 3, "fit.clip": 1} == own_values({"fit": {"epochs": 3, "clip": 1}}, found)
    for fit in ({"epochs": 4, "clip": 1}, {"epochs": 11, "clip": 1}, {"epochs": 3, "clip": 2}, {"epochs": 3}):
        assert own_values({"fit": fit}, found) is None
