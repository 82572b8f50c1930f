"""Recipes of language models: which kind a file is, and how a mistake in it is named."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml

from service.errors import SettingsError
from training.language_recipe import LanguageRecipe
from training.network_recipe import NetworkRecipe
from training.recipe import RECIPES, load_any, load_recipe


def variant_of_topics(folder: Path, **changes: Any) -> str:
    """The recipe with these sections instead of its own, and a profile `quick` that changes nothing."""
    settings = yaml.safe_load((RECIPES / "topics.yaml").read_text())
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**settings, "profiles": {"quick": {}}, **changes}))
    return str(path)


def test_the_kind_decides_which_settings_there_are(tmp_path: Path) -> None:
    """A file says its kind, and has all settings of that and no others."""
    recipe = load_any(variant_of_topics(tmp_path), "quick")
    assert isinstance(recipe, LanguageRecipe)
    settings = yaml.safe_load((RECIPES / "topics.yaml").read_text())
    assert set(get_type_hints(LanguageRecipe)) - {"name", "profile", "students"} == set(settings) - {"profiles", "kind"}
    assert settings["network"]["width"] == asdict(recipe)["network"]["width"]


def test_smaller_networks_learn_as_the_recipe_does_but_for_what_is_said(tmp_path: Path) -> None:
    """All of its fit is theirs, and what `distil.fit` names is another."""
    recipe = load_any(variant_of_topics(tmp_path, distil={"soft": 0.5, "fit": {"epochs": 3}}), "quick")
    assert isinstance(recipe, LanguageRecipe)
    assert replace(recipe.fit, epochs=3) == recipe.distil.fit
    assert (0.5, 4.0) == (recipe.distil.soft, recipe.distil.temperature)
    recipe = load_any("pages", "tiny")
    assert isinstance(recipe, NetworkRecipe)
    assert recipe.fit.weight_decay == recipe.distil.fit.weight_decay
    plain = load_any("wine", "tiny")
    assert isinstance(plain, NetworkRecipe)
    assert plain.fit == plain.distil.fit


def test_a_student_is_like_its_network_but_for_what_is_said(tmp_path: Path) -> None:
    """Whatever kind of recipe it stands in; there are none where none is named."""
    recipe = load_any(variant_of_topics(tmp_path, students=[{"layers": 1, "feeds": [64]}]), "quick")
    assert isinstance(recipe, LanguageRecipe)
    assert (replace(recipe.network, layers=1, feeds=(64,)),) == recipe.students
    settings = yaml.safe_load((RECIPES / "code-tags.yaml").read_text())
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**settings, "students": [{"width": 32}, {"heads": 1}]}))
    own = load_any(str(tmp_path / "own.yaml"), "quick")
    assert isinstance(own, NetworkRecipe)
    assert (replace(own.network, width=32), replace(own.network, heads=1)) == own.students
    plain = load_any("wine", "tiny")
    assert isinstance(plain, NetworkRecipe)
    assert () == plain.students


@pytest.mark.parametrize(
    "students, text",
    [
        ([{"widht": 8}], "unknown key `students.0.widht`, did you mean `width`"),
        ([{"width": 32}, {"classes": 3}], "`students.1.classes` is decided by the data"),
        ([{"width": 30}], "students.0: .*width must be a multiple of heads"),
        ([{"kind": "mlp"}], "students.0: is of the kind `mlp`, and what it learns from is `encoder`"),
        ({"width": 32}, "students"),
        ([7], "students"),
    ],
)
def test_students_that_are_refused(tmp_path: Path, students: object, text: str) -> None:
    """By their place in the list."""
    settings = yaml.safe_load((RECIPES / "code-tags.yaml").read_text())
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({**settings, "students": students}))
    with pytest.raises(SettingsError, match=rf"^own.yaml: .*{text}"):
        load_any(str(tmp_path / "own.yaml"), "quick")


def test_what_needs_images_refuses_a_language_model() -> None:
    """The error names the recipe."""
    with pytest.raises(SettingsError, match=r"^topics: makes no image classifier$"):
        load_recipe("topics", "tiny")


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"kind": "language"}, "no kind `language`, did you mean `language_model`"),
        ({"kind": None}, "no kind `None`"),
        ({"kind": "image_classifier"}, "unknown key `"),
        ({"profiles": {"quick": {"kind": "image_classifier"}}}, "unknown key `kind`"),
        ({"student": {}}, "unknown key `student`"),
        ({"network": {"vocabulary": 7}}, "`network.vocabulary` is decided by tokenizer.vocabulary"),
        ({"network": {"width": 100, "heads": 3}}, "width must be an even multiple of heads"),
        ({"network": {"width": 256, "cache_heads": 4}}, "its cache takes 2097152 bytes, at most 524288 may be"),
        ({"network": {"context": 39}, "evaluate": {"prompt": 9, "sample": 9}}, "context: must be at least 40"),
        ({"tokenizer": {"vocabulary": 200}}, "vocabulary: must be between 257"),
        ({"evaluate": {"prompt": 200, "sample": 100}}, "prompt and sample must fit"),
        ({"evaluate": {"steps": 0}}, "steps, rounds, prompt, sample: must be at least 1"),
        ({"baseline": {"orders": []}}, "orders: must be some of 1 to 9"),
        ({"baseline": {"orders": [0]}}, "orders: must be some of 1 to 9"),
        ({"goal": {"max_bits_per_byte": 0}}, "must be positive"),
        ({"data": {"test": 0.6}}, "leave half of the text"),
        ({"task": {"label_smoothing": 1}}, "label_smoothing"),
        ({"distil": {"fit": {"epochs": 0}}}, "epochs, .*: must be at least 1 - at `\\$.distil.fit`"),
        ({"distil": {"fit": 3}}, "Expected `object`, got `int` - at `\\$.distil.fit`"),
        ({"students": [{"width": 64, "vocabulary": 9}]}, "`students.0.vocabulary` is decided by tokenizer.vocabulary"),
        ({"students": [{"layer": 1}]}, "unknown key `students.0.layer`"),
        ({"distil": {"sof": 1}}, "unknown key `distil.sof`, did you mean `soft`"),
        ({"noise": 1.0}, "noise: must be at least 0 and below 1"),
        ({"seed": -1}, "seed: must be between"),
        ({"threads": 0}, "threads: must be between"),
        ({"family": "../evil"}, "family: letters"),
    ],
)
def test_a_mistake_is_named_by_file_and_key(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    """A wrong key or value is refused with the file, the key and, for a misspelling, the nearest key."""
    with pytest.raises(SettingsError, match=f"^mine.yaml: .*{text}"):
        load_any(variant_of_topics(tmp_path, **changes), "quick")
