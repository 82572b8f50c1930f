"""Recipes: what a file may say, and how a mistake in it is named."""

from dataclasses import FrozenInstanceError, asdict, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SettingsError
from training.recipe import RECIPES, Recipe, load_recipe, parse_recipe, recipe_names


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
        del recipe["profile"], recipe["evaluate"], recipe["budget"], recipe["prune"]["rounds"]
        for fit in (recipe["fit"], recipe["distil"]["fit"], recipe["prune"]["fit"], recipe["fine_tune"]):
            del fit["epochs"], fit["patience"]
    assert quick == full


def test_a_recipe_can_be_any_yaml_file(tmp_path: Path) -> None:
    """A path is taken as it is, and names the recipe."""
    assert load_recipe(variant_of_digits(tmp_path, seed=99), "quick").seed == 99


@pytest.mark.parametrize(
    "changes,text",
    [
        ({"fitt": {}}, "unknown key `fitt`, did you mean `fit`"),
        ({"fit": {"epochs": 1, "lerning_rate": 1}}, "unknown key `fit.lerning_rate`, did you mean `learning_rate`"),
        ({"distil": {"fit": {"epochs": 1, "epochz": 1}}}, "unknown key `distil.fit.epochz`, did you mean `epochs`"),
        ({"data": {"jitter": {"rotaton": 1}}}, "unknown key `data.jitter.rotaton`, did you mean `rotation`"),
        ({"prune": {"keep": 0.5, "round": 1}}, "unknown key `prune.round`, did you mean `rounds`"),
        ({"fine_tune": {"epoch": 1}}, "unknown key `fine_tune.epoch`, did you mean `epochs`"),
        ({"student": {"width": [16]}}, "unknown key `student.width`, did you mean `widths`"),
        ({"budget": {"min_speadup": 2}}, "unknown key `budget.min_speadup`, did you mean `min_speedup`"),
        ({"distil": {"fit": {"epochs": 1}, "soft": 2}}, "soft: must be a share"),
        ({"distil": {"temperature": 4}}, "missing required field `fit` - at `\\$.distil`"),
        ({"distil": {"fit": {"epochs": 0}}}, "must be at least 1 - at `\\$.distil.fit`"),
        ({"prune": {"keep": 1.0, "rounds": 1, "fit": {"epochs": 1}}}, "keep is a share below 1"),
        ({"prune": {"keep": 0.5, "rounds": 0, "fit": {"epochs": 1}}}, "rounds"),
        ({"data": {"jitter": {"fade": 1.5}}}, "fade"),
        ({"data": {"test_views": 0}}, "test_views"),
        ({"budget": {"min_speedup": 0}}, "min_speedup, min_shrink: must be positive"),
        ({"network": {"inner": [16, 16]}}, "inner"),
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


def test_every_section_is_the_recipe_s_own(tmp_path: Path) -> None:
    """A file without one of the story's sections is refused by the name of what it lacks."""
    settings = yaml.safe_load((RECIPES / "digits.yaml").read_text())
    sections = set(get_type_hints(Recipe)) - {"name", "profile"}
    assert sections == set(settings) - {"profiles"}
    for section in sections:
        lacking = {key: value for key, value in settings.items() if key != section}
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**lacking, "profiles": {"quick": {}}}))
        with pytest.raises(SettingsError, match=f"^mine.yaml: .*`{section}`"):
            load_recipe(str(tmp_path / "mine.yaml"), "quick")


def keys_of(kind: type, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every key that a recipe may have, sections in sections too."""
    paths = []
    for name, hint in get_type_hints(kind).items():
        paths.append((*before, name))
        if is_dataclass(hint):
            assert isinstance(hint, type)
            paths += keys_of(hint, (*before, name))
    return paths


@given(path=st.sampled_from(keys_of(Recipe)), at=st.integers(0, 30))
def test_a_misspelt_key_is_refused_wherever_it_stands(path: tuple[str, ...], at: int) -> None:
    """At any depth a key with a letter too many is named with its place, and the right one is suggested."""
    wrong = path[-1][: at % len(path[-1])] + "q" + path[-1][at % len(path[-1]) :]
    settings: dict[str, Any] = {wrong: 1}
    for section in reversed(path[:-1]):
        settings = {section: settings}
    with pytest.raises(SettingsError, match=f"unknown key `{'.'.join((*path[:-1], wrong))}`, did you mean `.+`\\?"):
        parse_recipe(settings, file="mine.yaml")
