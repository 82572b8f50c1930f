"""What a fit is given to teach a student: who learns, and by which task."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

from torch import nn

from service.errors import SettingsError
from training.compression.distillation.answers import check_task
from training.compression.distillation.hints import attention_apart, features_apart, projection, relations_apart
from training.compression.distillation.layers import attending, by_depth, check_layers, layers_of, put_out
from training.compression.distillation.pupil import Hint, Names, Pupil, side_by_side
from training.compression.distillation.settings import DistilSettings, HintSettings
from training.compression.distillation.task import Distillation, TogetherDistillation
from training.data.split import Array
from training.networks.custom import DECIDED
from training.seeding import seeded
from training.tasks.task import Task, Together

SHOWN = 2
"""Inputs by which the widths of layers are found out."""
SCALES = {"mean", "deviation", "target_mean", "target_deviation"}
"""What the data decides, and student and teacher may have each for themselves."""


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """`network` is what learns `task`: a student, or one in the midst of what hints need besides."""

    network: nn.Module
    task: Task


def exercise(
    task: Task, *, student: nn.Module, teacher: nn.Module, settings: DistilSettings, inputs: Array, seed: int
) -> Exercise:
    """How `student` learns `task` from `teacher`, in a `training.fit.Fit` of the exercise's network and task.

    The student itself is what has learnt then. `inputs` [N, ...] are some of those that both will be shown, `seed`
    decides how projections begin. Raises SettingsError if answers to the task aren't compared, the two are made for
    other data, or a hint can't be had.
    """
    check_task(task)
    _check_alike(student, teacher)
    shown = inputs[:SHOWN]
    hints = tuple(_hint(one, student, teacher, shown) for one in settings.hints)
    network = _pupil(student, teacher, hints, shown, seed) if hints else student
    kind = TogetherDistillation if isinstance(task, Together) else Distillation
    told = kind(task=task, teacher=teacher, temperature=settings.temperature, soft=settings.soft, hints=hints)
    return Exercise(network=network, task=told)


def _hint(settings: HintSettings, student: nn.Module, teacher: nn.Module, inputs: Array) -> Hint:
    if settings.layers:
        check_layers(student, settings.layers.keys(), "student")
        check_layers(teacher, settings.layers.values(), "teacher")
    layers = settings.layers or by_depth(layers_of(student, inputs), layers_of(teacher, inputs))
    if settings.kind == "relations":
        own, other = attending(student), attending(teacher)
        if own.causal != other.causal:
            raise SettingsError(
                "hints: an encoder's tokens see each other otherwise than a decoder's; leave relations out"
            )
        pairs = tuple((_inside(one, own.modules), _inside(two, other.modules)) for one, two in layers.items())
        check_layers(student, chain(*(modules for modules, _ in pairs)), "student")
        check_layers(teacher, chain(*(modules for _, modules in pairs)), "teacher")
        measure = partial(relations_apart, student=own, teacher=other)
        return Hint(measure=measure, weight=settings.weight, projects=False, pairs=pairs)
    pairs = tuple(((one,), (two,)) for one, two in layers.items())
    if settings.kind == "attention":
        return Hint(measure=attention_apart, weight=settings.weight, projects=False, pairs=pairs)
    return Hint(measure=features_apart, weight=settings.weight, projects=True, pairs=pairs)


def _pupil(student: nn.Module, teacher: nn.Module, hints: tuple[Hint, ...], inputs: Array, seed: int) -> Pupil:
    pairs = [(hint, own, other) for hint in hints for own, other in hint.pairs]
    found = put_out(student, {name for _, own, _ in pairs for name in own}, inputs)
    wanted = put_out(teacher, {name for _, _, other in pairs for name in other}, inputs)

    def projections() -> Iterator[tuple[Names, nn.Module]]:
        for hint, own, other in pairs:
            shown, aim = side_by_side(found, own), side_by_side(wanted, other)
            project = projection(shown, aim) if hint.projects else nn.Identity()
            hint.measure(project(shown), aim, None)  # what can't be compared is refused before anything is learnt
            yield own, project

    with seeded(seed):
        return Pupil(student, tuple(projections()))


def _inside(layer: str, modules: tuple[str, ...]) -> Names:
    return tuple(f"{layer}.{module}" for module in modules)


def _check_alike(student: nn.Module, teacher: nn.Module) -> None:
    """Raise SettingsError where configs say that both were made for other data."""
    for name in DECIDED:
        if name in SCALES:
            continue
        own, other = (getattr(getattr(network, "config", None), name, None) for network in (student, teacher))
        if own is not None and other is not None and own != other:
            raise SettingsError(
                f"teacher: its {name} is {other}, the student's {own}; both have to be made for the same data"
            )
