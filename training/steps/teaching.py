"""The step that trains the network of a recipe."""

import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import torch
from torch import nn

from training import checkpoint, data, fit, fitted, networks, optimization, problems, seeding, tasks
from training.common_settings import SEEDS
from training.data.batches import Batches, plain_batches
from training.data.material import Material
from training.data.transforms import catalogue as transforms
from training.durable import put
from training.fitted import Fitted
from training.network_recipe import NetworkRecipe
from training.network_report import NetworkFacts
from training.networks.catalogue import build, kind_of
from training.optimization.distributed import Ranks
from training.problems.sizing import check_fit, sized
from training.steps import fitting
from training.steps.fitting import NETWORK
from training.steps.journal import Journal
from training.tasks.task import Game, Task

FIT = "fit"
FACTS = "facts.json"
LOOP = (fitting, fit, fitted, optimization, seeding, data, networks, problems, tasks, checkpoint)
"""What every fit is done by, whatever is learnt."""


@dataclass(frozen=True, kw_only=True)
class Learned:
    """The network of a run: where it lies, how its fit went, and what it is."""

    checkpoint: Path
    fitted: Fitted
    facts: NetworkFacts

    def load(self) -> nn.Module:
        """The network with its weights, in evaluation mode. Raises Damaged."""
        return checkpoint.load_network(self.checkpoint, nn.Module)


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a recipe comes to with its data: the network's `config`, the `task`, and what is shown, with its changes."""

    config: Any
    task: Any
    changes: Sequence[Any]
    batches: Batches

    def code(self, problem: Any) -> Sequence[ModuleType]:
        """What decides how this is learnt."""
        # Which network, task and changes there are is decided by name, so their modules are named (see `sources`).
        named = {sys.modules[type(one).__module__] for one in (self.config, self.task, problem, *self.changes)}
        return (*LOOP, *sorted(named, key=lambda one: one.__name__))

    def begin(self, recipe: NetworkRecipe, material: Material) -> tuple[nn.Module, fit.Fit]:
        """A fresh network, and its fit. Raises SettingsError if it doesn't fit the data."""
        validation = material.dataset.validation
        torch.set_num_threads(recipe.threads)
        network = build(self.config, recipe.seed)
        # What doesn't fit is said before an epoch is spent, of inputs as they are and as they are changed.
        for shown in (next(plain_batches(validation, 2)), *islice(self.batches.epoch(0), 1)):
            check_fit(network, self.task, shown, recipe.problem.answer(network, shown.inputs.numpy(), material))
        return network, fit.Fit(network, self.task, self.batches, validation, recipe.fit)


def lesson_of(recipe: NetworkRecipe, material: Material) -> Lesson:
    """How the network of a recipe is taught. Raises SettingsError if network, data and problem don't fit."""
    changes = transforms.make(recipe.augment, classes=len(material.dataset.classes))
    return Lesson(
        config=sized(recipe.network, recipe.problem.decided(material)),
        task=recipe.problem.task(recipe.task, material),
        changes=changes,
        batches=Batches(material.dataset.train, size=recipe.fit.batch_size, transforms=changes, seed=recipe.seed),
    )


def learn(journal: Journal[NetworkRecipe], material: Material, *, place: int = 0) -> Learned:
    """The recipe's network, trained; at other places than the first the same by another seed.

    Raises SettingsError if network, data and problem don't fit, Diverged, and TimeUp.
    """
    recipe, dataset = replace(journal.recipe, seed=(journal.recipe.seed + place) % SEEDS), material.dataset
    step = f"{FIT}{place + 1}" if place else FIT
    lesson = lesson_of(recipe, material)

    def action(folder: Path) -> None:
        start = time.perf_counter()
        network, teacher = lesson.begin(recipe, material)
        with fitting.settled(folder) if place else nullcontext():
            fitting.keep(folder, network, teacher.run(folder, journal.console))
        facts = NetworkFacts(
            kind=kind_of(lesson.config),
            config=asdict(lesson.config),
            parameters=sum(weights.numel() for weights in network.parameters()),
            seconds=time.perf_counter() - start,
        )
        if Ranks().leads:
            put(folder / FACTS, msgspec.json.format(msgspec.json.encode(facts, order="sorted"), indent=1))

    inputs = {
        "train": dataset.train,
        "validation": dataset.validation,
        "augment": list(recipe.augment),
        "network": lesson.config,
        "task": lesson.task,
        "seed": recipe.seed,
        "threads": recipe.threads,
        "fit": recipe.fit,
    }
    code = (sys.modules[__name__], *lesson.code(recipe.problem))
    journal.do(step, inputs, code, action, lambda: _told(journal, step, lesson.task), shared=True)
    fitting.check(journal, step)
    facts = msgspec.json.decode(journal.path(step, FACTS).read_bytes(), type=NetworkFacts)
    return Learned(checkpoint=journal.path(step, NETWORK), fitted=fitting.history(journal, step), facts=facts)


def _told(journal: Journal[NetworkRecipe], step: str, task: Task) -> str:
    if journal.path(step, fitting.DIVERGED).exists():
        return "diverged"
    found = fitting.history(journal, step)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in found.epochs[found.best].validation.items())
    return fitting.summary(found, f"validation {figures}", game=isinstance(task, Game))
