"""The steps that make networks: data, fit, distil, prune, fine-tune."""

import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from training import checkpoint, data, fit, fitted, networks, optimization, seeding, tasks
from training.compression import distillation, pruning
from training.compression.distillation.exercise import Exercise, exercise
from training.compression.pruning import importance
from training.compression.pruning.catalogue import units_of
from training.compression.pruning.cost import Cost
from training.compression.pruning.kinds import resnet
from training.compression.pruning.narrowing import pruned
from training.compression.pruning.settings import PruneSettings
from training.compression.pruning.units import unit_sets
from training.data import digits
from training.data.batches import Batch, Batches
from training.data.split import Dataset
from training.networks.resnet import ResNet, ResNetConfig, build, multiply_adds
from training.optimization.settings import FitSettings
from training.steps import fitting
from training.steps.fitting import NETWORK
from training.steps.journal import Journal
from training.tasks.classification import Classification
from training.tasks.task import Task

TEACHER, STUDENT, PRUNED = "teacher", "student", "pruned"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a network is: of which variant it was made, how large it is, and how well it does on validation images.

    `steps` are the fits that led to it from its parent, in order; `widths` its channels by group; `multiply_adds` the
    multiplications (each with its addition) that one image takes.
    """

    parent: str | None
    steps: tuple[str, ...]
    widths: Mapping[str, int]
    parameters: int
    multiply_adds: int
    validation_accuracy: float


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network of the run: which variant it is, where it lies, and what it is."""

    variant: str
    checkpoint: Path
    facts: Facts


def load_data(journal: Journal) -> Dataset:
    """The images of the recipe, in three parts."""
    start = time.perf_counter()
    dataset = digits.load(journal.recipe.data, journal.recipe.seed)
    sources = len(np.unique(dataset.test.sources))
    sizes = f"{len(dataset.train)} to train, {len(dataset.validation)} to validate, {len(dataset.test)} to test"
    sizes += f" (views of {sources})" if sources < len(dataset.test) else ""
    journal.note("data", start, cached=False, result=sizes)
    return dataset


def teach(journal: Journal, dataset: Dataset) -> Trained:
    """The teacher: the recipe's network, trained on labels alone."""
    recipe = journal.recipe
    config = _sized(recipe.network, dataset, batches(journal, TEACHER, dataset, recipe.fit))
    inputs = {"network": config, "task": recipe.task}
    make = partial(build, config, recipe.seed)
    _fit(journal, TEACHER, dataset, recipe.fit, inputs=inputs, make=make, taught=partial(_by_labels, recipe.task))
    return _trained(journal, TEACHER, None, (TEACHER,), dataset)


def distil(journal: Journal, teacher: Trained, dataset: Dataset) -> Trained:
    """The student: a smaller network that learns from the teacher's answers."""
    recipe = journal.recipe
    config = _sized(recipe.student, dataset, batches(journal, TEACHER, dataset, recipe.fit))
    inputs = {"network": config, "teacher": teacher.checkpoint, "distil": recipe.distil}
    make, taught = partial(build, config, recipe.seed), partial(_by_teacher, journal, teacher, dataset)
    _fit(journal, STUDENT, dataset, recipe.distil.fit, inputs=inputs, make=make, taught=taught, code=(distillation,))
    return _trained(journal, STUDENT, TEACHER, (STUDENT,), dataset)


def prune(journal: Journal, teacher: Trained, dataset: Dataset) -> Trained:
    """The teacher, made narrower round by round; after each round it learns again from what it was."""
    settings = journal.recipe.prune
    whole = Cost(multiply_adds=teacher.facts.multiply_adds, parameters=teacher.facts.parameters)
    now, steps = teacher, list[str]()
    for number in range(settings.rounds):
        name = f"prune-{number + 1}"
        limit = settings.limit(whole, number)
        inputs = {"network": now.checkpoint, "teacher": teacher.checkpoint, "prune": settings, "limit": limit}
        inputs |= {"distil": journal.recipe.distil, "task": journal.recipe.task}
        taught = partial(_by_teacher, journal, teacher, dataset)
        few = replace(settings.fit, batch_size=importance.BATCH)
        shown = partial(batches(journal, name, dataset, few).first, settings.samples)
        make = partial(_narrower, now.checkpoint, settings, task=journal.recipe.task, shown=shown, limit=limit)
        code = (pruning, resnet, distillation)
        _fit(journal, name, dataset, settings.fit, inputs=inputs, make=make, taught=taught, code=code)
        steps.append(name)
        now = _trained(journal, PRUNED, TEACHER, tuple(steps), dataset)
        if not (left := Cost(multiply_adds=now.facts.multiply_adds, parameters=now.facts.parameters)).fits(limit):
            journal.warn(f"{name}: at the narrowest widths {left} remain, asked are {limit}")
    return now


def fine_tune(journal: Journal, narrowed: Trained, teacher: Trained, dataset: Dataset) -> Trained:
    """The pruned network after a last, longer fit at its final width."""
    recipe = journal.recipe
    inputs = {"network": narrowed.checkpoint, "teacher": teacher.checkpoint, "distil": recipe.distil}
    make = partial(checkpoint.load_network, narrowed.checkpoint, ResNet)
    taught, code = partial(_by_teacher, journal, teacher, dataset), (distillation,)
    _fit(journal, "fine-tune", dataset, recipe.fine_tune, inputs=inputs, make=make, taught=taught, code=code)
    return _trained(journal, PRUNED, TEACHER, (*narrowed.facts.steps, "fine-tune"), dataset)


def climb(journal: Journal, config: ResNetConfig, seed: int, dataset: Dataset) -> Path:
    """A network of another width or seed, trained as the teacher is: its checkpoint."""
    recipe = journal.recipe
    name = f"ladder-{'-'.join(map(str, config.widths))}-{seed}"
    sized = _sized(config, dataset, batches(journal, TEACHER, dataset, recipe.fit))
    inputs = {"network": sized, "task": recipe.task, "seed of weights": seed}
    make, taught = partial(build, sized, seed), partial(_by_labels, recipe.task)
    _fit(journal, name, dataset, recipe.fit, inputs=inputs, make=make, taught=taught)
    return journal.path(name, NETWORK)


def batches(journal: Journal, step: str, dataset: Dataset, settings: FitSettings) -> Batches:
    """The training images as `step` sees them: each step draws its own."""
    recipe = journal.recipe
    seed = recipe.seed + zlib.crc32(step.encode())
    return Batches(dataset.train, size=settings.batch_size, transforms=(recipe.data.jitter,), seed=seed)


def _fit(
    journal: Journal,
    name: str,
    dataset: Dataset,
    settings: FitSettings,
    *,
    inputs: Mapping[str, Any],
    make: Callable[[], ResNet],
    taught: Callable[[ResNet], Exercise],
    code: tuple[ModuleType, ...] = (),
) -> None:
    def action(folder: Path) -> None:
        torch.set_num_threads(journal.recipe.threads)
        network = make()
        shown = batches(journal, name, dataset, settings)
        given = taught(network)
        fitted = fit.Fit(given.network, given.task, shown, dataset.validation, settings).run(folder, journal.console)
        fitting.keep(folder, network, fitted)

    def result() -> str:
        fitted = fitting.history(journal, name)
        return fitting.summary(fitted, f"validation accuracy {fitted.epochs[fitted.best].validation['accuracy']:.4f}")

    decisive = {
        "train": dataset.train,
        "validation": dataset.validation,
        "jitter": journal.recipe.data.jitter,
        "seed": journal.recipe.seed,
        "threads": journal.recipe.threads,
        "fit": settings,
        **inputs,
    }
    used = (
        sys.modules[__name__],
        fitting,
        fit,
        fitted,
        optimization,
        seeding,
        data,
        networks,
        tasks,
        checkpoint,
        *code,
    )
    journal.do(name, decisive, used, action, result, shared=True)


def _trained(journal: Journal, variant: str, parent: str | None, steps: tuple[str, ...], dataset: Dataset) -> Trained:
    path = journal.path(steps[-1], NETWORK)
    network = checkpoint.load_network(path, ResNet)
    fitted = fitting.history(journal, steps[-1])
    facts = Facts(
        parent=parent,
        steps=steps,
        widths={one.name: one.count for one in unit_sets(units_of(network.config))},
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        multiply_adds=multiply_adds(network.config, dataset.train.inputs.shape[-1]),
        validation_accuracy=fitted.epochs[fitted.best].validation["accuracy"],
    )
    return Trained(variant=variant, checkpoint=path, facts=facts)


def _by_labels(task: Task, network: ResNet) -> Exercise:
    return Exercise(network=network, task=task)


def _by_teacher(journal: Journal, teacher: Trained, dataset: Dataset, student: ResNet) -> Exercise:
    recipe = journal.recipe
    return exercise(
        Classification(),
        student=student,
        teacher=checkpoint.load_network(teacher.checkpoint, ResNet),
        settings=recipe.distil,
        inputs=dataset.train.inputs,
        seed=recipe.seed,
    )


def _narrower(
    path: Path,
    settings: PruneSettings,
    *,
    task: Task,
    shown: Callable[[], Iterator[Batch]],
    limit: Cost,
) -> ResNet:
    network = checkpoint.load_network(path, ResNet)
    image = next(shown()).inputs[:1]
    smaller = pruned(network, settings, limit=limit, ask=lambda one: one(image), task=task, batches=shown)
    assert isinstance(smaller, ResNet)
    return smaller


def _sized(config: ResNetConfig, dataset: Dataset, shown: Batches) -> ResNetConfig:
    """The config as the data decides it: channels, classes, and what the pixels are normalised by."""
    pixels = shown.sample(len(dataset.train)) / 255.0
    return replace(
        config,
        channels=pixels.shape[1],
        classes=len(dataset.classes),
        mean=round(float(pixels.mean()), 4),
        deviation=round(float(pixels.std()), 4),
    )
