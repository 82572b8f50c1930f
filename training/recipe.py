"""A recipe: everything that decides what a run makes, read from one YAML file and checked before anything runs.

A file holds the settings and, under `profiles`, what each profile changes in them. Unknown keys are refused, because a
misspelt setting that is silently ignored costs a training run to find out.
"""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
import yaml

from service.errors import SettingsError
from training.compression.distil import DistilSettings
from training.compression.prune import PruneSettings
from training.compression.quantize import QuantizeSettings
from training.data.digits import DigitsSettings
from training.evaluate import EvaluateSettings
from training.fit import FitSettings
from training.networks.resnet import ResNetConfig
from training.tasks.classification import Classification
from training.verdict import Budget

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One run's settings. `name` is the file's, `profile` the one that was asked for, `seed` the root of all chance.

    `network` is the teacher, which learns `task` by `fit`; `student` learns from it as `distil` says. The teacher is
    also pruned, and then fine-tuned. The rest says how to quantize, what to measure, and what to demand.
    """

    name: str
    profile: str
    about: str
    family: str
    seed: int
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


def recipe_names() -> list[str]:
    """The recipes that come with the package, sorted."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def load_recipe(name: str, profile: str) -> Recipe:
    """The bundled recipe `name`, or the file `name` if it ends in .yaml, as `profile` changes it.

    Raises SettingsError that names the file, the key, and the nearest key that exists.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else RECIPES / f"{name}.yaml"
    if not path.is_file():
        raise SettingsError(f"no recipe `{name}`{_suggestion(name, recipe_names())}")
    settings = read_settings(path)
    profiles = settings.pop("profiles", None) or {}
    if not isinstance(profiles, dict):
        raise SettingsError(f"{path.name}: profiles: must map names to settings")
    if profile not in profiles:
        raise SettingsError(f"{path.name}: no profile `{profile}`{_suggestion(profile, list(profiles))}")
    merged = _merge(settings, profiles[profile] or {}, where=f"{path.name}: profiles.{profile}")
    return parse_recipe({**merged, "name": path.stem, "profile": profile}, file=path.name)


def read_settings(path: Path) -> dict[str, Any]:
    """The YAML mapping in a file. Raises SettingsError that names the file."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name}: isn't YAML ({' '.join(str(error).split())})") from error
    except OSError as error:
        raise SettingsError(f"{path.name}: can't be read ({error.strerror})") from error
    if not isinstance(settings, dict):
        raise SettingsError(f"{path.name}: must hold a mapping of settings")
    return settings


def parse_recipe(settings: Mapping[str, Any], *, file: str) -> Recipe:
    """A recipe from plain values. Raises SettingsError naming `file` and the key at fault."""
    _refuse_unknown_keys(Recipe, settings, file=file, where="")
    try:
        return msgspec.convert(settings, Recipe)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}") from error


def _merge(base: Mapping[str, Any], changes: Any, *, where: str) -> dict[str, Any]:
    if not isinstance(changes, Mapping):
        raise SettingsError(f"{where}: must map keys to settings")
    merged = dict(base)
    for key, value in changes.items():
        below = merged.get(key)
        merged[key] = _merge(below, value, where=f"{where}.{key}") if isinstance(below, Mapping) else value
    return merged


def _refuse_unknown_keys(kind: type, settings: Any, *, file: str, where: str) -> None:
    if not isinstance(settings, Mapping):
        return  # a wrong type is named by the conversion
    hints = get_type_hints(kind)
    for key, value in settings.items():
        if key not in hints:
            raise SettingsError(f"{file}: unknown key `{where}{key}`{_suggestion(str(key), list(hints))}")
        if dataclasses.is_dataclass(hints[key]):
            _refuse_unknown_keys(hints[key], value, file=file, where=f"{where}{key}.")


def _suggestion(wrong: str, known: list[str]) -> str:
    nearest = difflib.get_close_matches(wrong, known, n=1, cutoff=0.5)
    return f", did you mean `{nearest[0]}`?" if nearest else f"; there are {', '.join(known)}"
