"""A recipe: everything that decides what a run makes, read from one YAML file and checked before anything runs.

A file holds the settings and, under `profiles`, what each profile changes in them. `kind` says what is made, and with
it which settings there are; where it isn't said, that is an image classifier with all that is made of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec

from service.artifact.names import is_model_name
from service.errors import SettingsError
from training import network_recipe
from training.common_settings import CommonSettings
from training.compression.distillation.settings import DistilSettings, completed
from training.compression.pruning.settings import PruneSettings
from training.compression.quantization.settings import QuantizeSettings
from training.data.digits import DigitsSettings
from training.language_recipe import LanguageRecipe
from training.model_config import MAX_BATCH
from training.network_recipe import SAID, NetworkRecipe
from training.networks.resnet import ResNetConfig, multiply_adds
from training.optimization.settings import FitSettings
from training.settings_file import changes_of, check_settings, converted, merge, read_settings
from training.suggestion import suggestion
from training.tasks.classification import Classification
from training.timing import EvaluateSettings
from training.verdict import Budget

LEAST_KEPT = 1e-3
RECIPES = Path(__file__).parent / "recipes"
NETWORKS = ("network", "student", "compress.students")
DECIDED = {
    **SAID,
    **{f"{network}.vocabulary": "tokenizer.vocabulary" for network in ("network", "students")},
    **{f"{network}.{key}": "the data" for network in NETWORKS for key in ("channels", "classes", "mean", "deviation")},
    **{f"{network}.embedding": "the kind of recipe, which answers classes," for network in NETWORKS},
}
"""What no recipe may set, and what decides it instead."""


@dataclass(frozen=True, kw_only=True)
class CompressSettings:
    """How smaller networks learn in a search for variants, and the shapes of `students` that it takes at their size."""

    distil: DistilSettings
    students: tuple[ResNetConfig, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe(CommonSettings):
    """One run's settings.

    `network` is the teacher, which learns `task` by `fit`; `student` learns from it as `distil` says. The teacher is
    also pruned, and then fine-tuned. The rest says how to quantize, what to measure, and what to demand; `compress`
    is for the search, which has no plan.
    """

    data: DigitsSettings
    network: ResNetConfig
    task: Classification
    fit: FitSettings
    student: ResNetConfig
    distil: DistilSettings
    prune: PruneSettings
    fine_tune: FitSettings
    quantize: QuantizeSettings
    compress: CompressSettings
    evaluate: EvaluateSettings
    budget: Budget

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.prune.keep, self.prune.keep_parameters) < LEAST_KEPT:
            raise ValueError(f"prune: keep and keep_parameters below {LEAST_KEPT} leave nothing of a network")
        if max(self.evaluate.batch_sizes) > MAX_BATCH:
            raise ValueError(f"evaluate.batch_sizes: a model takes at most {MAX_BATCH} images at once")
        whole = multiply_adds(self.network, self.data.size)
        if any(multiply_adds(one, self.data.size) >= whole for one in (self.student, *self.compress.students)):
            raise ValueError("student, compress.students: must take fewer multiplications than what they learn from")


AnyRecipe: TypeAlias = Recipe | LanguageRecipe | NetworkRecipe
Kind = TypeVar("Kind", Recipe, LanguageRecipe)
IMAGES, LANGUAGE, NETWORK = "image_classifier", "language_model", "network"
KINDS = (IMAGES, LANGUAGE, NETWORK)


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
        raise SettingsError(f"no recipe `{name}`{suggestion(name, recipe_names())}")
    try:
        settings = read_settings(path)
        changes = changes_of(settings.pop("profiles", None), profile, file=path.name)
        kind = str(settings.pop("kind", IMAGES))
        merged = merge(settings, changes, where=f"{path.name}: profiles.{profile}")
        if kind == NETWORK:
            return network_recipe.parse(merged, file=path.name, profile=profile)
        if kind not in KINDS:
            raise SettingsError(f"{path.name}: no kind `{kind}`{suggestion(kind, KINDS)}")
        if kind == LANGUAGE:
            return _parse(LanguageRecipe, completed(merged), file=path.name, profile=profile)
        return parse_recipe(merged, file=path.name, profile=profile)
    except RecursionError as error:
        raise SettingsError(f"{path.name}: is nested too deeply") from error


def parse_recipe(settings: Mapping[str, Any], *, file: str, profile: str) -> Recipe:
    """The recipe of a classifier from plain values. Raises SettingsError naming `file` and the key at fault."""
    return _parse(Recipe, settings, file=file, profile=profile)


def _parse(kind: type[Kind], settings: Mapping[str, Any], *, file: str, profile: str) -> Kind:
    check_settings(kind, settings, file=file, where="", decided=DECIDED)
    try:
        return converted({**settings, "name": Path(file).stem, "profile": profile}, kind, decided=DECIDED)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}") from error
