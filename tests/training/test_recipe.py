"""Recipes: what a file may say, and how a mistake in it is named."""

import math
from dataclasses import FrozenInstanceError, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from service.errors import SettingsError
from training.__main__ import app
from training.recipe import DECIDED, RECIPES, Recipe, load_any, load_recipe, parse_recipe, recipe_names
from training.settings_file import read_settings


def variant_of_digits(folder: Path, **changes: Any) -> str:
    """The recipe with these sections instead of its own, and a profile `quick` that changes nothing."""
    settings = yaml.safe_load((RECIPES / "digits.yaml").read_text())
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**settings, "profiles": {"quick": {}}, **changes}))
    return str(path)


def text_of_digits(folder: Path, text: str) -> str:
    """The recipe with `text` at the end of its file."""
    path = folder / "mine.yaml"
    path.write_text((RECIPES / "digits.yaml").read_text() + "\n" + text)
    return str(path)


def paths_of(kind: type, of: type | None = None, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The path of every key that a recipe may have, sections in sections too; only those `of` a type, if named."""
    paths = []
    hints = get_type_hints(kind)
    for name in (field.name for field in fields(kind)):
        path, hint = (*before, name), hints[name]
        if ".".join(path) not in DECIDED and of in (None, hint):
            paths.append(path)
        if is_dataclass(hint):
            assert isinstance(hint, type)
            paths += paths_of(hint, of, path)
    return paths


def sections(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """`value` at `path`, in sections of sections."""
    settings = {path[-1]: value}
    for section in reversed(path[:-1]):
        settings = {section: settings}
    return settings


@pytest.mark.parametrize("profile", ["tiny", "quick", "full"])
@pytest.mark.parametrize("name", recipe_names())
def test_bundled_recipes_are_valid_in_every_profile(name: str, profile: str) -> None:
    """Every recipe that comes with the package can be read in the three profiles."""
    recipe = load_any(name, profile)
    assert (recipe.name, recipe.profile) == (name, profile)


def test_a_profile_changes_only_what_it_names(tmp_path: Path) -> None:
    """A profile's settings replace the file's own one by one, at any depth, not section by section."""
    profiles = {
        "plain": None,
        "quick": {"seed": 3, "distil": {"fit": {"epochs": 5}}, "data": {"jitter": {"noise": 0.2}}},
    }
    path = variant_of_digits(tmp_path, profiles=profiles)
    changed = asdict(load_recipe(path, "plain"))
    changed |= {"profile": "quick", "seed": 3}
    changed["distil"]["fit"]["epochs"] = 5
    changed["data"]["jitter"]["noise"] = 0.2
    assert changed == asdict(load_recipe(path, "quick"))


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
        ({"distil": {"fit": {"epochs": 1}, "hints": [{"kind": "smell"}]}}, "Invalid enum value 'smell'"),
        (
            {"distil": {"fit": {"epochs": 1}, "hints": [{"kind": "features", "wait": 1}]}},
            "unknown key `distil.hints.0.wait`, did you mean `weight`",
        ),
        ({"distil": {"fit": {"epochs": 0}}}, "must be at least 1 - at `\\$.distil.fit`"),
        ({"prune": {"keep": 1.0, "rounds": 1, "fit": {"epochs": 1}}}, "keep_parameters: must be shares"),
        ({"prune": {"keep": 1e-8, "rounds": 1, "fit": {"epochs": 1}}}, "prune: .* below 0.001 leave nothing"),
        ({"prune": {"keep": 0.5, "rounds": 0, "fit": {"epochs": 1}}}, "rounds, samples: must be at least 1"),
        ({"data": {"jitter": {"fade": 1.5}}}, "scale, fade: must be below 1"),
        ({"data": {"test_views": 0}}, "test_views"),
        ({"budget": {"min_speedup": 0}}, "min_speedup, min_shrink: must be positive"),
        ({"network": {"inner": [16, 16]}}, "inner"),
        ({"network": {"xyz": 1}}, "unknown key `network.xyz`; there are widths"),
        ({"fit": {"epochs": "many"}}, "fit.epochs"),
        ({"fit": {"epochs": 0}}, "must be at least 1"),
        ({"fit": 3}, "fit"),
        ({"fit": {"epochs": 1, "schedule": "linear"}}, "Invalid enum value 'linear' - at `\\$.fit.schedule`"),
        ({"fit": {"epochs": 1, "milestones": [0.5, 0.2]}}, "milestones: must be in ascending order - at `\\$.fit`"),
        ({"task": {"class_weights": [1.0, -1.0]}}, "class_weights: must not be below 0"),
        ({"task": {"better": {}}}, "unknown key `task.better`; there are label_smoothing, class_weights"),
        ({"task": {"class_weights": [1.0, float("inf")]}}, "`task.class_weights` is inf, and must be finite"),
        ({"quantize": {"method": "guess"}}, "quantize.method"),
        ({"data": {"test": 0.95}}, "leave a tenth"),
        ({"data": {"test": 0.0001}}, "validation, test: must be at least 0.02"),
        ({"data": {"validation": 0.0001}}, "validation, test: must be at least 0.02"),
        ({"fit": {"epochs": 1, "weight_decay": -0.1}}, "weight_decay, clip: must not be below 0 - at `\\$.fit`"),
        ({"network": {"widths": []}}, "widths"),
        ({"evaluate": {"batch_sizes": [2]}}, "batch size 1"),
        ({"evaluate": {"batch_sizes": [1, 33]}}, "evaluate.batch_sizes: a model takes at most 32 images"),
        ({"budget": {"min_accuracy": 2}}, "min_accuracy"),
        ({"family": ""}, "family: letters"),
        ({"family": "a b"}, "family: letters"),
        ({"family": "../evil"}, "family: letters"),
        ({"family": "a" * 121}, "family: letters"),
        ({"family": 1}, "family"),
        ({"seed": -1}, "seed: must be between 0 and 2147483647"),
        ({"seed": 2**31}, "seed: must be between 0 and 2147483647"),
        ({"seed": 10**30}, "seed"),
        ({"threads": 0}, "threads: must be between 1 and 1024"),
        ({"name": "mine"}, "`name` is decided by the file's name"),
        ({"profile": "quick"}, "`profile` is decided by the flag --profile"),
        ({"student": {"embedding": 8}}, "`student.embedding` is decided by the kind of recipe"),
        (
            {"compress": {"distil": {"fit": {"epochs": 1}}, "students": [{"widths": [16], "embedding": 8}]}},
            "`compress.students.0.embedding` is decided by the kind of recipe",
        ),
        (
            {"compress": {"distil": {"fit": {"epochs": 1}}, "students": [{"widths": [16]}, {"widths": [512]}]}},
            "compress.students: must take fewer multiplications",
        ),
        ({"profiles": {"quick": {"name": "mine"}}}, "`name` is decided by the file's name"),
        ({"profiles": {"quick": {"fit": 1}}}, "fit"),
        ({"profiles": {"quick": 1}}, "profiles.quick: must map"),
        ({"profiles": {"quick": {"fit": {"epoch": 1}}}}, "unknown key `fit.epoch`, did you mean `epochs`"),
        ({"profiles": {"quick": {}, "other": 0}}, "profiles.other: must map"),
        ({"profiles": {"quick": {}, 1: {}}}, "profiles: 1 must be a word"),
        ({"profiles": {"quick": {}, "../../../x": {}}}, "profiles: '../../../x' must be a word"),
        ({"profiles": {"quick": {}, "": {}}}, "profiles: '' must be a word"),
        ({"profiles": 7}, "profiles: must map"),
        ({"profiles": None}, "profiles: must map"),
        ({"profiles": {}}, "no profile `quick`; there are none"),
    ],
)
def test_a_mistake_is_named_by_file_and_key(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    """A wrong key or value is refused with the file, the key and, for a misspelling, the nearest key."""
    with pytest.raises(SettingsError, match=f"^mine.yaml: .*{text}"):
        load_recipe(variant_of_digits(tmp_path, **changes), "quick")


@pytest.mark.parametrize("key", ["channels", "classes", "mean", "deviation"])
@pytest.mark.parametrize("network", ["network", "student"])
def test_what_the_data_decides_is_not_the_recipe_s(tmp_path: Path, network: str, key: str) -> None:
    """What would be silently replaced by what the images say is refused, with who decides it."""
    with pytest.raises(SettingsError, match=f"^mine.yaml: `{network}.{key}` is decided by the data"):
        load_recipe(variant_of_digits(tmp_path, **{network: {"widths": [32], key: 1}}), "quick")


@given(path=st.sampled_from(paths_of(Recipe, float)), value=st.sampled_from([math.nan, math.inf, -math.inf]))
def test_numbers_are_finite_wherever_they_stand(path: tuple[str, ...], value: float) -> None:
    """NaN and infinities, which comparisons may let through, are refused at any depth."""
    with pytest.raises(SettingsError, match=f"^mine.yaml: `{'.'.join(path)}` is {value}, and must be finite$"):
        parse_recipe(sections(path, value), file="mine.yaml", profile="quick")


@pytest.mark.parametrize(
    "text,message",
    [
        ("seed: 8", "key `seed` stands twice, in lines [0-9]+ and [0-9]+$"),
        ("more: {fit: {epochs: 1, epochs: 2}}", "key `epochs` stands twice"),
        ("more: " + "{x: " * 3000 + "}" * 3000, "is nested too deeply"),
        ("more: 2026-13-45", "isn't YAML"),
        ("more: !!int x", "isn't YAML"),
        ("more: !!bool x", "isn't YAML"),
        ("more: " + "9" * 5000, "isn't YAML"),
    ],
)
def test_a_text_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """Keys that stand twice, endless nesting, and values that aren't what they claim are a line, not a trace."""
    with pytest.raises(SettingsError, match=f"^mine.yaml: {message}"):
        load_recipe(text_of_digits(tmp_path, text), "quick")


def test_a_profile_that_holds_itself_is_refused(tmp_path: Path) -> None:
    """A mapping that an anchor puts into itself has no end, and is named as such."""
    path = tmp_path / "mine.yaml"
    path.write_text("about: &a {x: *a}\nprofiles: {quick: {about: *a}}\n")
    with pytest.raises(SettingsError, match=r"^mine.yaml: is nested too deeply"):
        load_recipe(str(path), "quick")


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    """A merged mapping may give what the key beside it replaces, however often it is merged."""
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {x: 1, y: 1}\nb: &b {<<: *a, x: 2}\nc: {<<: *b, x: 3}\n")
    assert {"a": {"x": 1, "y": 1}, "b": {"x": 2, "y": 1}, "c": {"x": 3, "y": 1}} == read_settings(path)


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


@given(path=st.sampled_from(paths_of(Recipe)), at=st.integers(0, 30))
def test_a_misspelt_key_is_refused_wherever_it_stands(path: tuple[str, ...], at: int) -> None:
    """At any depth a key with a letter too many is named with its place, and the right one is suggested."""
    wrong = path[-1][: at % len(path[-1])] + "q" + path[-1][at % len(path[-1]) :]
    settings = sections((*path[:-1], wrong), 1)
    with pytest.raises(SettingsError, match=f"unknown key `{'.'.join((*path[:-1], wrong))}`, did you mean `.+`\\?"):
        parse_recipe(settings, file="mine.yaml", profile="quick")


@pytest.mark.parametrize("place", ["gone/mine.onnx", "file/mine.onnx"])
def test_a_place_that_cannot_take_the_file_is_told_before_training(tmp_path: Path, place: str) -> None:
    """`export` names the folder that is missing or none, ends with 1, and has begun nothing."""
    (tmp_path / "file").touch()
    words = ["export", "digits", "int8", "--to", str(tmp_path / place), "--runs", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, words)
    assert 1 == result.exit_code
    assert result.stderr.startswith(f"error: {(tmp_path / place).parent}: isn't a folder that can be written to")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("closed", [True, False])
def test_a_repository_that_cannot_be_written_is_told_before_training(tmp_path: Path, *, closed: bool) -> None:
    """`publish` names the file in the way, or the folder that is closed to it, ends with 1, and has begun nothing."""
    blocked = Path("/proc") if closed else tmp_path / "blocked"  # the superuser may write in any other
    if not closed:
        blocked.touch()
    words = ["publish", "digits", "--repository", str(blocked / "below" / "models"), "--runs", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, words)
    assert 1 == result.exit_code
    assert result.stderr.startswith(f"error: {blocked}: isn't a folder that can be written to")
    assert not (tmp_path / "runs").exists()
