"""The steps that make smaller networks of a trained one: students, and the network pruned; both learn from it."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import torch
from torch import nn

from training import checkpoint, fit
from training.compression import distillation, pruning
from training.compression.distillation.exercise import exercise
from training.compression.distillation.settings import DistilSettings
from training.compression.distillation.student import inherit, student_of
from training.compression.pruning.allocation import Rules
from training.compression.pruning.catalogue import units_of
from training.compression.pruning.cost import Cost, Ledger, counts_of, measure
from training.compression.pruning.importance import BATCH, estimate
from training.compression.pruning.narrowing import prune
from training.compression.search.design import TEACHER, Network
from training.compression.search.explore import SHARES
from training.data.batches import Batch, Epochs
from training.data.split import Split
from training.durable import put
from training.fitted import Epoch
from training.network_report import NetworkFacts
from training.networks.catalogue import build, kind_of
from training.optimization.settings import FitSettings
from training.steps import fitting
from training.steps.fitting import NETWORK
from training.steps.journal import Journal
from training.steps.teaching import FACTS
from training.tasks.task import Task

STUDENT, PRUNED = "student", "pruned"
ROUTES = (PRUNED, STUDENT)
SHOWN = 512
"""Training inputs that importance is estimated on."""


@dataclass(frozen=True, kw_only=True)
class Schooling:
    """How the trained network learnt, and smaller ones do: the `task`, `batches` by how many inputs one has, and `fit`.

    `decides` is what else a fit depends on, for the key of a step, and `code` the modules. `students` are configs that
    somebody found to be good for their cost.
    """

    task: Task
    batches: Callable[[int], Epochs]
    validation: Split
    fit: FitSettings
    decides: Mapping[str, Any]
    code: Sequence[ModuleType]
    students: Sequence[Any] = ()


class Shrinking:
    """Makes smaller networks of the one in the checkpoint `teacher`; the `observer` is told every epoch of a fit."""

    def __init__(
        self, journal: Journal[Any], teacher: Path, schooling: Schooling, observer: Callable[[Epoch], None]
    ) -> None:
        self._journal = journal
        self._teacher = teacher
        self._schooling = schooling
        self._observer = observer

    def learned(self, network: Network) -> Path:
        """The checkpoint of a smaller network, taught by the teacher. Raises SettingsError if there is none so small.

        And Diverged, and what the observer raises.
        """
        if network.route == TEACHER:
            return self._teacher
        schooling, recipe = self._schooling, self._journal.recipe
        settings = DistilSettings(fit=schooling.fit)
        above = self.learned(_above(network))

        def action(folder: Path) -> None:
            start = time.perf_counter()
            torch.set_num_threads(recipe.threads)
            student = self._smaller(network, checkpoint.load_network(above, nn.Module))
            given = exercise(
                schooling.task,
                student=student,
                teacher=checkpoint.load_network(self._teacher, nn.Module),
                settings=settings,
                inputs=schooling.validation.inputs,
                seed=recipe.seed,
            )
            batches = schooling.batches(schooling.fit.batch_size)
            taught = fit.Fit(given.network, given.task, batches, schooling.validation, schooling.fit)
            fitting.keep(folder, student, taught.run(folder, self._journal.console, observer=self._observer))
            facts = NetworkFacts(
                kind=kind_of(student.config),
                config=asdict(student.config),
                parameters=sum(weights.numel() for weights in student.parameters()),
                seconds=time.perf_counter() - start,
            )
            put(folder / FACTS, msgspec.json.format(msgspec.json.encode(facts, order="sorted"), indent=1))

        inputs = {
            **schooling.decides,
            "teacher": self._teacher,
            "above": above,
            "route": network.route,
            "share": network.share,
            "students": [asdict(one) for one in schooling.students],
            "task": schooling.task,
            "seed": recipe.seed,
            "threads": recipe.threads,
            "distil": settings,
        }
        code = (sys.modules[__name__], distillation, pruning, *schooling.code)
        self._journal.do(network.name, inputs, code, action, lambda: self._told(network))
        return self._journal.path(network.name, NETWORK)

    def _smaller(self, network: Network, above: Any) -> Any:
        """The network before it learns: with the weights it can take over of the one `above` it."""
        seed = self._journal.recipe.seed
        if network.route == STUDENT:
            named = self._schooling.students
            config = student_of(above.config, network.share, lambda one: self._adds(build(one, seed)), named=named)
            student = build(config, seed)
            inherit(student, above)
            return student
        whole = self._cost(self._ledger(checkpoint.load_network(self._teacher, nn.Module)))
        limit = Cost(multiply_adds=round(whole.multiply_adds * network.share), parameters=whole.parameters)
        found = estimate(above, "taylor", task=self._schooling.task, batches=self._few)
        return prune(above, found, ledger=self._ledger(above), limit=limit, rules=Rules())

    def _few(self) -> list[Batch]:
        """The first inputs of the first epoch, in small batches."""
        batches = []
        for batch in self._schooling.batches(BATCH).epoch(0):
            batches.append(batch)
            if len(batches) * BATCH >= SHOWN:
                break
        return batches

    def _ledger(self, network: Any) -> Ledger:
        shown = torch.from_numpy(self._schooling.validation.inputs[:1])
        return measure(network, units_of(network.config), lambda one: one(shown))

    def _cost(self, ledger: Ledger) -> Cost:
        return ledger.cost(counts_of(ledger.units))

    def _adds(self, network: nn.Module) -> float:
        return self._cost(self._ledger(network)).multiply_adds

    def _told(self, network: Network) -> str:
        found = fitting.history(self._journal, network.name)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in found.epochs[found.best].validation.items())
        return fitting.summary(found, f"validation {figures}")


def _above(network: Network) -> Network:
    """What a network begins with: the teacher, or, if it is pruned, the next larger one that is pruned."""
    larger = [share for share in SHARES if share > network.share]
    if network.route == STUDENT or not larger:
        return Network()
    return Network(route=network.route, share=min(larger))
