"""A recipe: everything that decides what a run makes, read from one YAML file and checked before anything runs.

A file holds the settings and, under `profiles`, what each profile changes in them. Unknown keys are refused, because a
misspelt setting that is silently ignored costs a training run to find out. `kind` says what is made, and with it which
settings there are; where it isn't said, that is an image classifier.
"""

import dataclasses
import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, get_type_hints

import msgspec
import yaml

from service.artifact.names import is_model_name
from service.errors import SettingsError
from training.classifier import MAX_BATCH
from training.compression.distil import DistilSettings
from training.compression.prune import PruneSettings
from training.compression.quantize import QuantizeSettings
from training.data.digits import DigitsSettings
from training.evaluate import EvaluateSettings
from training.fit import FitSettings
from training.language_recipe import LanguageRecipe
from training.networks.resnet import ResNetConfig, multiply_adds
from training.tasks.classification import Classification
from training.verdict import Budget

MOST_THREADS = 1024
LEAST_KEPT = 1e-3
RECIPES = Path(__file__).parent / "recipes"
PROFILE_NAME = re.compile(r"[A-Za-z0-9_-]+")
DECIDED = {
    "name": "the file's name",
    "profile": "the flag --profile",
    "network.vocabulary": "tokenizer.vocabulary",
    **{
        f"{network}.{key}": "the data"
        for network in ("network", "student")
        for key in ("channels", "classes", "mean", "deviation")
    },
}
"""What no recipe may set, and what decides it instead."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One run's settings. `name` is the file's, `profile` the one that was asked for, `seed` the root of all chance.

    `threads` is how many cores a fit uses: it decides the order of sums, so the machine must not.
    `network` is the teacher, which learns `task` by `fit`; `student` learns from it as `distil` says. The teacher is
    also pruned, and then fine-tuned. The rest says how to quantize, what to measure, and what to demand.
    """

    name: str
    profile: str
    about: str
    family: str
    seed: int
    threads: int
    data: DigitsSettings
    network: ResNetConfig
    task: Classification
    fit: FitSettings
    student: ResNetConfig
    distil: DistilSettings
    prune: PruneSettings
    fine_tune: FitSettings
    quantize: QuantizeSettings
    evaluate: EvaluateSettings
    budget: Budget

    def __post_init__(self) -> None:
        if not is_model_name(f"{self.family}-teacher"):
            raise ValueError("family: letters, digits, '.', '_' and '-', at most 120, the first a letter or digit")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed: must be between 0 and {2**31 - 1}")
        if not 1 <= self.threads <= MOST_THREADS:
            raise ValueError(f"threads: must be between 1 and {MOST_THREADS}")
        if min(self.prune.keep, self.prune.keep_parameters) < LEAST_KEPT:
            raise ValueError(f"prune: keep and keep_parameters below {LEAST_KEPT} leave nothing of a network")
        if max(self.evaluate.batch_sizes) > MAX_BATCH:
            raise ValueError(f"evaluate.batch_sizes: a model takes at most {MAX_BATCH} images at once")
        if multiply_adds(self.student, self.data.size) >= multiply_adds(self.network, self.data.size):
            raise ValueError("student: must take fewer multiplications than the network it learns from")


AnyRecipe: TypeAlias = Recipe | LanguageRecipe
Kind = TypeVar("Kind", bound=AnyRecipe)
IMAGES, LANGUAGE = "image_classifier", "language_model"
KINDS: Mapping[str, type[AnyRecipe]] = {IMAGES: Recipe, LANGUAGE: LanguageRecipe}


def recipe_names() -> list[str]:
    """The recipes that come with the package, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str, profile: str) -> Recipe:
    """The recipe `name` of an image classifier; see `load_any`. Raises SettingsError, also for another kind."""
    recipe = load_any(name, profile)
    if not isinstance(recipe, Recipe):
        raise SettingsError(f"{recipe.name}: makes no image classifier")
    return recipe


def load_any(name: str, profile: str) -> AnyRecipe:
    """The bundled recipe `name`, or the file `name` if it ends in .yaml, as `profile` changes it.

    Raises SettingsError that names the file, the key, and the nearest key that exists.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not is_model_name(path.stem):
        raise SettingsError(f"{path.name}: must be called by letters, digits, '.', '_' and '-': it names a folder")
    if not path.is_file():
        raise SettingsError(f"no recipe `{name}`{_suggestion(name, recipe_names())}")
    try:
        settings = read_settings(path)
        changes = _changes(settings.pop("profiles", None), profile, file=path.name)
        kind = str(settings.pop("kind", IMAGES))
        merged = _merge(settings, changes, where=f"{path.name}: profiles.{profile}")
        if kind not in KINDS:
            raise SettingsError(f"{path.name}: no kind `{kind}`{_suggestion(kind, list(KINDS))}")
        return _parse(KINDS[kind], merged, file=path.name, profile=profile)
    except RecursionError as error:
        raise SettingsError(f"{path.name}: is nested too deeply") from error


def read_settings(path: Path) -> dict[str, Any]:
    """The YAML mapping in a file. Raises SettingsError that names the file."""
    try:
        settings = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except SettingsError as error:
        raise SettingsError(f"{path.name}: {error}") from error
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:  # the last three: `!!int x` and the like
        raise SettingsError(f"{path.name}: isn't YAML ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise SettingsError(f"{path.name}: can't be read ({error.strerror})") from error
    if not isinstance(settings, dict):
        raise SettingsError(f"{path.name}: must hold a mapping of settings")
    return settings


def parse_recipe(settings: Mapping[str, Any], *, file: str, profile: str) -> Recipe:
    """The recipe of a classifier from plain values. Raises SettingsError naming `file` and the key at fault."""
    return _parse(Recipe, settings, file=file, profile=profile)


def _parse(kind: type[Kind], settings: Mapping[str, Any], *, file: str, profile: str) -> Kind:
    _check_settings(kind, settings, file=file, where="")
    try:
        return msgspec.convert({**settings, "name": Path(file).stem, "profile": profile}, kind)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping; of the two, YAML's own loader would take the last."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # no setting's name
            line = key.start_mark.line + 1
            if key.value in lines:
                raise SettingsError(f"key `{key.value}` stands twice, in lines {lines[key.value]} and {line}")
            lines[key.value] = line
        return node


def _changes(profiles: Any, profile: str, *, file: str) -> Any:
    """What `profile` changes, of all `profiles` that a file has."""
    if not isinstance(profiles, Mapping):
        raise SettingsError(f"{file}: profiles: must map names to settings")
    for name, changes in profiles.items():
        if not isinstance(name, str) or not PROFILE_NAME.fullmatch(name):
            raise SettingsError(f"{file}: profiles: {name!r} must be a word of letters, digits, '_' and '-'")
        if not isinstance(changes, Mapping | None):
            raise SettingsError(f"{file}: profiles.{name}: must map keys to settings")
    if profile not in profiles:
        raise SettingsError(f"{file}: no profile `{profile}`{_suggestion(profile, list(profiles))}")
    return profiles[profile] or {}


def _merge(base: Mapping[str, Any], changes: Any, *, where: str) -> dict[str, Any]:
    if not isinstance(changes, Mapping):
        raise SettingsError(f"{where}: must map keys to settings")
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _merge(below, value, where=f"{where}.{key}") if isinstance(below, Mapping) else value
    return merged


def _check_settings(kind: type, settings: Any, *, file: str, where: str) -> None:
    """Refuse unknown keys, keys that something else decides, and numbers that aren't finite, at any depth."""
    if not isinstance(settings, Mapping):
        return  # a wrong type is named by the conversion
    hints = {key: hint for key, hint in get_type_hints(kind).items() if f"{where}{key}" not in DECIDED}
    for key, value in settings.items():
        path = f"{where}{key}"
        if path in DECIDED:
            raise SettingsError(f"{file}: `{path}` is decided by {DECIDED[path]} and can't be set")
        if key not in hints:
            raise SettingsError(f"{file}: unknown key `{path}`{_suggestion(str(key), list(hints))}")
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{file}: `{path}` is {value}, and must be finite")
        if dataclasses.is_dataclass(hints[key]):
            _check_settings(hints[key], value, file=file, where=f"{path}.")


def _suggestion(wrong: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f", did you mean `{nearest[0]}`?" if nearest else f"; there are {', '.join(known) or 'none'}"
