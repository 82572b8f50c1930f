"""The steps that make smaller networks of a trained one: students, and the network pruned; both learn from it."""

import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import torch
from torch import nn
from torch.nn import functional

from service.errors import SettingsError
from training import checkpoint, fit
from training.compression import distillation, pruning
from training.compression.distillation.answers import teachable
from training.compression.distillation.ensemble import Ensemble
from training.compression.distillation.exercise import Exercise, exercise
from training.compression.distillation.settings import DistilSettings, HintSettings
from training.compression.distillation.student import inherit, without_layers
from training.compression.pruning.allocation import Ranking, suited
from training.compression.pruning.catalogue import units_of
from training.compression.pruning.contest import Cut, cut
from training.compression.pruning.cost import Cost, Ledger, counts_of, measure
from training.compression.pruning.importance import BATCH
from training.compression.search.design import Network
from training.data.batches import Batch, Epochs, sample
from training.data.split import Split
from training.deadline import OVER, TimeUp
from training.durable import put
from training.network_report import NetworkFacts
from training.networks.catalogue import build, kind_of
from training.steps import fitting
from training.steps.fitting import NETWORK
from training.steps.journal import Journal
from training.steps.others import Others
from training.steps.routes import ASSISTED, HINTED, PRUNED, SHALLOW, lineage_of, routes_of
from training.steps.students import Students
from training.steps.teaching import FACTS
from training.tasks.task import LOSS, Game, Task

RANKINGS: Sequence[Ranking] = ("global", "layer")
SHOWN = 512
"""Training inputs that importance is estimated on, and validation inputs that cuts are compared by."""
HINT_WEIGHT = 0.3
"""From 0.1 to 1 it made no difference beyond chance in two recipes (decision 171)."""
ASKED = 1 / 3
"""What of an epoch's time a network takes that answers and doesn't learn."""
ATTENTIVE = {"decoder", "encoder"}
"""Kinds of networks whose tokens look at each other."""
TOLD = "cut.json"


@dataclass(frozen=True, kw_only=True)
class Schooling:
    """How the trained network learnt, and by what smaller ones do: the `task`, `batches` by how many inputs one has.

    `distil` says how they learn from the trained one. `decides` is what else a fit depends on, for the key of a step,
    and `code` the modules. `students` are configs that somebody found to be good for their cost. An epoch of the
    trained one took `epoch_seconds`. `others` teach along with it.
    """

    task: Task
    batches: Callable[[int], Epochs]
    validation: Split
    distil: DistilSettings
    decides: Mapping[str, Any]
    code: Sequence[ModuleType]
    epoch_seconds: float
    students: Sequence[Any] = ()
    others: Others | None = None


class Shrinking:
    """Makes smaller networks of the one in the checkpoint `teacher`, as long as the journal's deadline leaves time."""

    def __init__(self, journal: Journal[Any], teacher: Path, schooling: Schooling) -> None:
        self.journal = journal
        self._teacher = teacher
        self.schooling = schooling
        self._known: dict[Network, Path] = {Network(): teacher}

    @property
    def first(self) -> Sequence[Network]:
        """Those that somebody found to be good for what they take."""
        return list(self._students.first)

    @property
    def routes(self) -> Mapping[str, Sequence[str]]:
        """See `routes_of`."""
        return routes_of(self._network(Network()).config, self.schooling.task, self.schooling.distil)

    def learned(self, network: Network) -> Path:
        """The checkpoint of a smaller network. Raises SettingsError if there is none so small, Diverged and TimeUp."""
        if network not in self._known:
            self._known[network] = self._made(network)
        return self._known[network]

    def _made(self, network: Network) -> Path:
        try:
            return self._descended(network, self._known)
        except TimeUp:
            # A search that had no time for larger ones has cut it from the teacher.
            with self.journal.until(OVER), suppress(TimeUp):
                return self._descended(network, [Network()])
            raise

    def _descended(self, network: Network, there: Collection[Network]) -> Path:
        lineage = lineage_of(network, there)
        return self._learn(network, self._there(lineage.above), self._there(lineage.teacher))

    def _there(self, network: Network) -> Path:
        """The checkpoint of a network, or of the next larger one that can be."""
        try:
            return self.learned(network)
        except SettingsError:
            return self._there(network.larger)

    def _learn(self, network: Network, above: Path, teacher: Path) -> Path:
        schooling, recipe = self.schooling, self.journal.recipe
        settings = self._settings(network)
        foreseen = self.foreseen(network, settings)
        teachers = self.teachers(teacher, settings, foreseen)

        def action(folder: Path) -> None:
            start = time.perf_counter()
            torch.set_num_threads(recipe.threads)
            made = self._smaller(network, checkpoint.load_network(above, nn.Module), folder)
            given = self.exercise(made, teachers, settings)
            batches = schooling.batches(settings.fit.batch_size)
            taught = fit.Fit(given.network, given.task, batches, schooling.validation, settings.fit)
            pace = self.journal.deadline.pace(settings.fit.epochs)
            with fitting.settled(folder):
                fitting.keep(folder, made, taught.run(folder, self.journal.console, observer=pace))
            facts = NetworkFacts(
                kind=kind_of(made.config),
                config=asdict(made.config),
                parameters=sum(weights.numel() for weights in made.parameters()),
                seconds=time.perf_counter() - start,
            )
            put(folder / FACTS, msgspec.json.format(msgspec.json.encode(facts, order="sorted"), indent=1))

        inputs = {
            **schooling.decides,
            "whole": self._teacher,
            "teachers": list(teachers),
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
        self.journal.do(network.name, inputs, code, action, lambda: self._told(network), foreseen=foreseen)
        fitting.check(self.journal, network.name)
        return self.journal.path(network.name, NETWORK)

    def foreseen(self, network: Network, settings: DistilSettings) -> float:
        """About how many seconds the fit of a network will take, by what an epoch of the teacher took.

        Two thirds of that are the way back, so a teacher that is only asked takes a third.
        """
        others = self.schooling.others if not (settings.hints or network.remedy == ASSISTED) else None
        teachers = (1 + others.count if others else 1) if teachable(self.schooling.task) else 0
        return settings.fit.epochs * self.schooling.epoch_seconds * (network.share + ASKED * teachers)

    def teachers(self, teacher: Path, settings: DistilSettings, foreseen: float) -> Sequence[Path]:
        """This one, and the others if it is the trained one; layers are one's own. See `Others.paths`."""
        others = self.schooling.others if teacher == self._teacher and not settings.hints else None
        return [teacher, *(others.paths(foreseen) if others else ())]

    def exercise(self, student: nn.Module, teachers: Sequence[Path], settings: DistilSettings) -> Exercise:
        """How `student` learns from the networks in these checkpoints; alone where answers aren't compared."""
        if not teachable(task := self.schooling.task):
            return Exercise(network=student, task=task)
        members = [checkpoint.load_network(one, nn.Module) for one in teachers]
        return exercise(
            task,
            student=student,
            teacher=Ensemble(members, task) if len(members) > 1 else members[0],
            settings=settings,
            inputs=self.schooling.validation.inputs,
            seed=self.journal.recipe.seed,
        )

    def _settings(self, network: Network) -> DistilSettings:
        settings = self.schooling.distil
        if network.remedy != HINTED:
            return settings
        attentive = kind_of(self._network(Network()).config) in ATTENTIVE
        hint = HintSettings(kind="relations" if attentive else "features", weight=HINT_WEIGHT)
        return replace(settings, hints=(hint,))

    def _smaller(self, network: Network, above: Any, folder: Path) -> Any:
        """The network before it learns: with the weights it can take over of the one `above` it."""
        if network.route != PRUNED:
            student = build(self._students.config(network), self.journal.recipe.seed)
            inherit(student, above)
            return student
        ledger = self._ledger(self._network(Network()))
        whole = self._cost(ledger)
        limit = Cost(multiply_adds=round(whole.multiply_adds * network.share), parameters=whole.parameters)
        made = self._cut(above, limit, suited(units_of(above.config)))
        if made.network.config == above.config:
            raise SettingsError(f"{network.name}: what it would be cut from is small enough already")
        if not (left := self._cost(self._ledger(made.network))).fits(limit):
            raise SettingsError(f"{network.name}: {left} are left where no more can be cut, asked are {limit}")
        told = {"importance": made.importance, "ranking": made.ranking, "loss": made.loss}
        put(folder / TOLD, msgspec.json.encode(told))
        return made.network

    def _cut(self, above: Any, limit: Cost, multiples: Sequence[int]) -> Cut:
        """By the first of these multiples of widths by which that little can be left, else by the last."""
        schooling = self.schooling
        made = cut(
            above,
            ledger=self._ledger(above),
            limit=limit,
            multiple=multiples[0],
            # A player who costs nothing later isn't cut where units are ranked by what they save.
            rankings=RANKINGS[:1] if isinstance(schooling.task, Game) else RANKINGS,
            task=schooling.task,
            batches=self._few,
            loss=self._loss(above),
        )
        if len(multiples) == 1 or self._cost(self._ledger(made.network)).fits(limit):
            return made
        return self._cut(above, limit, multiples[1:])

    def _loss(self, above: Any) -> Callable[[nn.Module], float]:
        """What cuts of a network are compared by: the validation loss.

        That of a game says nothing of one player: there it is how far what is made of noise is from what was made.
        """
        task, validation, seed = self.schooling.task, self.schooling.validation, self.journal.recipe.seed
        if not isinstance(task, Game):
            few = validation.take(sample(len(validation), SHOWN, seed))
            return lambda one: fit.assess(one, task, few)[LOSS]
        noise = torch.randn((SHOWN, above.config.code), generator=torch.Generator().manual_seed(seed))

        def apart(one: nn.Module) -> float:
            with torch.inference_mode():
                return float(functional.mse_loss(one.eval()(noise), above.eval()(noise)))

        return apart

    @cached_property
    def _students(self) -> Students:
        seed, teacher = self.journal.recipe.seed, self._network(Network()).config
        bare = without_layers(teacher)
        return Students(
            teacher=teacher,
            cost=lambda config: self._cost(self._ledger(build(config, seed))).multiply_adds,
            named=[*self.schooling.students, *([bare] if bare else [])],
            shallow=SHALLOW in self.routes,
        )

    def _few(self) -> list[Batch]:
        """The first inputs of the first epoch, in small batches."""
        batches = []
        for batch in self.schooling.batches(BATCH).epoch(0):
            batches.append(batch)
            if len(batches) * BATCH >= SHOWN:
                break
        return batches

    def _network(self, network: Network) -> Any:
        return checkpoint.load_network(self._known[network], nn.Module)

    def _ledger(self, network: Any) -> Ledger:
        if isinstance(self.schooling.task, Game):
            shown = torch.zeros((1, network.config.code))
        else:
            shown = torch.from_numpy(self.schooling.validation.inputs[:1])
        return measure(network, units_of(network.config), lambda one: one(shown))

    def _cost(self, ledger: Ledger) -> Cost:
        return ledger.cost(counts_of(ledger.units))

    def _told(self, network: Network) -> str:
        if self.journal.path(network.name, fitting.DIVERGED).exists():
            return "diverged"
        found = fitting.history(self.journal, network.name)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in found.epochs[found.best].validation.items())
        told = fitting.summary(found, f"validation {figures}", game=isinstance(self.schooling.task, Game))
        path = self.journal.path(network.name, TOLD)
        if not path.exists():
            return told
        made = msgspec.json.decode(path.read_bytes())
        return f"cut by {made['importance']}, {made['ranking']}, to a loss of {made['loss']:.4g}; {told}"
