"""The steps that make smaller networks of a recipe's: students, and the network pruned; both learn from it."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import nn

from training import fit
from training.compression import distillation, pruning
from training.compression.distillation.lesson import lesson
from training.compression.distillation.settings import DistilSettings
from training.compression.distillation.student import inherit, student_of
from training.compression.pruning.allocation import Rules
from training.compression.pruning.catalogue import units_of
from training.compression.pruning.cost import Cost, Ledger, counts_of, measure
from training.compression.pruning.importance import BATCH, estimate
from training.compression.pruning.narrowing import prune
from training.compression.search.design import TEACHER, Network
from training.compression.search.explore import SHARES
from training.data.batches import Batches
from training.data.material import Material
from training.fitted import Epoch
from training.network_recipe import NetworkRecipe
from training.network_report import NetworkFacts
from training.networks.catalogue import build, kind_of
from training.steps import fitting
from training.steps.fitting import NETWORK
from training.steps.journal import Journal
from training.steps.teaching import FACTS, Learned, Lesson, lesson_of

STUDENT, PRUNED = "student", "pruned"
ROUTES = (PRUNED, STUDENT)
SHOWN = 512
"""Training inputs that importance is estimated on."""


@dataclass(frozen=True, kw_only=True)
class Shrinking:
    """What smaller networks are made of: the `teacher`, with its data; `observer` is told every epoch of a fit."""

    journal: Journal[NetworkRecipe]
    material: Material
    teacher: Learned
    observer: Callable[[Epoch], None]

    def learned(self, network: Network) -> Learned:
        """A smaller network, taught by the teacher. Raises SettingsError if there is none of that size."""
        if network.route == TEACHER:
            return self.teacher
        recipe, dataset = self.journal.recipe, self.material.dataset
        own = lesson_of(recipe, self.material)
        settings = DistilSettings(fit=recipe.fit)
        above = self.learned(_above(network))

        def action(folder: Path) -> None:
            start = time.perf_counter()
            torch.set_num_threads(recipe.threads)
            teacher = self.teacher.load()
            student = self._smaller(network, above.load(), own)
            given = lesson(
                own.task,
                student=student,
                teacher=teacher,
                settings=settings,
                inputs=dataset.validation.inputs,
                seed=recipe.seed,
            )
            told = fit.Fit(given.network, given.task, own.batches, dataset.validation, settings.fit)
            fitting.keep(folder, student, told.run(folder, self.journal.console, observer=self.observer))
            facts = NetworkFacts(
                kind=kind_of(student.config),
                config=asdict(student.config),
                parameters=sum(weights.numel() for weights in student.parameters()),
                seconds=time.perf_counter() - start,
            )
            (folder / FACTS).write_bytes(msgspec.json.format(msgspec.json.encode(facts, order="sorted"), indent=1))

        inputs = {
            "train": dataset.train,
            "validation": dataset.validation,
            "augment": list(recipe.augment),
            "teacher": self.teacher.checkpoint,
            "above": above.checkpoint,
            "network": [network.route, network.share],
            "task": own.task,
            "seed": recipe.seed,
            "threads": recipe.threads,
            "distil": settings,
        }
        code = (sys.modules[__name__], distillation, pruning, *own.code(recipe.problem))
        self.journal.do(network.name, inputs, code, action, lambda: self._told(network))
        facts = msgspec.json.decode(self.journal.path(network.name, FACTS).read_bytes(), type=NetworkFacts)
        return Learned(
            checkpoint=self.journal.path(network.name, NETWORK),
            fitted=fitting.history(self.journal, network.name),
            facts=facts,
        )

    def _smaller(self, network: Network, above: Any, own: Lesson) -> Any:
        """The network before it learns: with the weights it can take over of the one `above` it."""
        recipe = self.journal.recipe
        whole = self._ledger(self.teacher.load())
        if network.route == STUDENT:
            config = student_of(above.config, network.share, lambda one: self._adds(build(one, recipe.seed)))
            student = build(config, recipe.seed)
            inherit(student, above)
            return student
        limit = whole.cost(counts_of(whole.units))
        limit = Cost(multiply_adds=round(limit.multiply_adds * network.share), parameters=limit.parameters)
        few = Batches(self.material.dataset.train, size=BATCH, transforms=own.changes, seed=recipe.seed)
        found = estimate(above, "taylor", task=own.task, batches=partial(few.first, SHOWN))
        return prune(above, found, ledger=self._ledger(above), limit=limit, rules=Rules())

    def _ledger(self, network: nn.Module) -> Ledger:
        shown = torch.from_numpy(self.material.dataset.validation.inputs[:1])
        return measure(network, units_of(network.config), lambda one: one(shown))

    def _adds(self, network: nn.Module) -> float:
        ledger = self._ledger(network)
        return ledger.cost(counts_of(ledger.units)).multiply_adds

    def _told(self, network: Network) -> str:
        found = fitting.history(self.journal, network.name)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in found.epochs[found.best].validation.items())
        return fitting.summary(found, f"validation {figures}")


def _above(network: Network) -> Network:
    """What a network begins with: the teacher, or, if it is pruned, the next larger one that is pruned."""
    larger = [share for share in SHARES if share > network.share]
    if network.route == STUDENT or not larger:
        return Network()
    return Network(route=network.route, share=min(larger))
