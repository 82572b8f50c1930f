"""The recipe of one network for one problem: everything that decides what a run makes.

Its sections name what they hold: `data` a source, `problem` and `network` a kind, and each change under `augment`
itself. What further keys a section may have is theirs to say.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from service.errors import SettingsError
from training.common_settings import CommonSettings
from training.compression.distillation.answers import teachable
from training.compression.distillation.settings import DistilSettings, completed
from training.data import catalogue as sources
from training.data.transforms import catalogue as transforms
from training.networks import catalogue as networks
from training.optimization.settings import FitSettings
from training.problems.catalogue import problem_of
from training.problems.sizing import DECIDED
from training.settings_file import check_settings, converted, section
from training.suggestion import suggestion
from training.timing import EvaluateSettings
from training.tuning.space import Space, changed, probes, space

Section = Mapping[str, Any]
SECTIONS = ("data", "problem", "network", "task", "fit", "distil", "evaluate", "goal")
"""The sections that are read into a dataclass each."""
MOST_TEACHERS = 32
SAID = {"name": "the file's name", "profile": "the flag --profile"}
"""What no recipe of any kind may set, and what decides it instead."""
BY_DATA = {
    "task.unit": "the data",
    **{f"{section}.{key}": "the data" for section in ("network", "students") for key in DECIDED},
}
"""What no recipe of a network may set besides, and what decides it instead."""


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What must be reached: the problem's headline figure at least (or at most) `value`; that of no baseline is better,
    unless `match_baselines` is off. That is by points: a network that is behind by less than chance explains misses it
    all the same, and one that is ahead by so little meets it. What chance explains is said beside it.
    """

    value: float | None = None
    match_baselines: bool = True


@dataclass(frozen=True, kw_only=True)
class Plain(CommonSettings):
    """The recipe as it stands in its file, its open sections unread."""

    data: Section
    problem: Section
    network: Section
    task: Section = field(default_factory=dict)
    augment: tuple[Section, ...] = ()
    fit: FitSettings
    distil: DistilSettings
    teachers: int = 1
    students: tuple[Section, ...] = ()
    evaluate: EvaluateSettings = field(default_factory=EvaluateSettings)
    goal: Goal = field(default_factory=Goal)
    search: Section = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class NetworkRecipe(CommonSettings):
    """One run's settings: `data` those of a source, `network` the config that the data completes, the problem of
    a `kind`. `distil` is how smaller networks learn from that one, with the same `fit` where it says no other, and
    `students` are shapes of some that are good for what they take, like the network's in all that they don't say. So
    many `teachers` tell them together, the trained one and others of its kind by the seeds after its own.
    `search` is what `hone-train tune` may try.

    `settings` are the plain values that all of it was read from.
    """

    kind: str
    data: Any
    problem: Any
    network: Any
    task: Any
    augment: tuple[Section, ...]
    fit: FitSettings
    distil: DistilSettings
    teachers: int
    students: tuple[Any, ...]
    evaluate: EvaluateSettings
    goal: Goal
    search: Space
    settings: Mapping[str, Any]

    @property
    def all_settings(self) -> dict[str, Any]:
        """`settings` with the defaults of what they don't say; what the data decides isn't there."""
        told = {**self.settings, "augment": self.augment, "search": self.search}
        for name in SECTIONS:
            part, said = getattr(self, name), self.settings.get(name, {})
            keys = [one.name for one in fields(part) if one.init and f"{name}.{one.name}" not in BY_DATA]
            told[name] = {**said, **{key: getattr(part, key) for key in keys}}
        plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(told))  # lists, which are tuples otherwise
        return plain


def parse(settings: Mapping[str, Any], *, file: str, profile: str) -> NetworkRecipe:
    """The recipe from plain values. Raises SettingsError naming `file` and the key at fault."""
    whole = completed(settings)
    check_settings(Plain, whole, file=file, where="", decided=SAID)
    name = Path(file).stem
    try:
        plain = converted({**whole, "name": name, "profile": profile}, Plain)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: {error}") from error
    try:
        source, data = _named(plain.data, "source", sources.SOURCES)
        kind, rest = _named(plain.problem, "kind", ())
        network, config = _named(plain.network, "kind", networks.KINDS)
        problem = problem_of(kind)
        augment = transforms.spelt_out(plain.augment)
        data_settings, config_class = sources.settings_of(source), networks.config_class(network)
    except (SettingsError, ValueError) as error:
        raise SettingsError(f"{file}: {error}") from error
    searched = space(plain.search, file=file)
    recipe = NetworkRecipe(
        name=name,
        profile=profile,
        about=plain.about,
        family=plain.family,
        seed=plain.seed,
        threads=plain.threads,
        kind=kind,
        data=section(data_settings, data, file=file, where="data"),
        problem=section(problem, rest, file=file, where="problem"),
        network=section(config_class, config, file=file, where="network", decided=BY_DATA),
        task=section(problem.learns, plain.task, file=file, where="task", decided=BY_DATA),
        augment=augment,
        fit=plain.fit,
        distil=plain.distil,
        teachers=plain.teachers,
        students=tuple(
            section(config_class, rest, file=file, where=f"students.{place}", decided=BY_DATA)
            for place, rest in enumerate(_of_kind(plain.students, network, file=file))
        ),
        evaluate=plain.evaluate,
        goal=plain.goal,
        search=searched,
        settings=settings,
    )
    _check_teachers(recipe, file=file)
    for key, value in probes(searched):
        try:
            parse(changed(settings, {key: value}), file=file, profile=profile)
        except SettingsError as error:
            raise SettingsError(f"{error} (`search.{key}` would try {value})") from error
    return recipe


def _of_kind(students: Sequence[Section], kind: str, *, file: str) -> Iterator[Section]:
    """What is said of the shape of each."""
    for place, (own, rest) in enumerate(_named(one, "kind", ()) for one in students):
        if own != kind:
            raise SettingsError(
                f"{file}: students.{place}: is of the kind `{own}`, and what it learns from is `{kind}`"
            )
        yield rest


def _check_teachers(recipe: NetworkRecipe, *, file: str) -> None:
    """Raise SettingsError unless there are teachers, and what they say is heard."""
    if not 1 <= recipe.teachers <= MOST_TEACHERS:
        raise SettingsError(f"{file}: `teachers` must be between 1, the network itself, and {MOST_TEACHERS}")
    if recipe.teachers > 1 and not teachable(recipe.task):
        raise SettingsError(f"{file}: `teachers` must be 1, as nothing of this task is learnt from a teacher")
    if recipe.teachers > 1 and not recipe.distil.soft:
        raise SettingsError(f"{file}: `teachers` must be 1 where `distil.soft` is 0, as nobody listens to them")
    if recipe.teachers > 1 and recipe.distil.hints:
        raise SettingsError(f"{file}: `teachers` must be 1 where `distil.hints` are given, as layers are one's own")


def _named(settings: Section, key: str, known: Any) -> tuple[str, Section]:
    """What a section names under `key`, and its other settings."""
    if key not in settings:
        raise SettingsError(f"`{key}` is missing where one of them has to be named{suggestion('', known)}")
    rest = dict(settings)
    return str(rest.pop(key)), rest
