"""A recipe's network, whose first form is compressed."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import nn

from training import checkpoint, export, metrics, problems, tracing
from training.comparison import Against, difference, differences, verdict, verdict_of_pairs
from training.compression.distillation.answers import teachable
from training.compression.search.design import Design, Network
from training.data.batches import Batches, sample
from training.data.split import Split
from training.network import Exported
from training.network_recipe import NetworkRecipe
from training.problems.problem import Problem, Scores
from training.problems.sizing import DECIDED
from training.publish import Release
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16, Runtime
from training.serving import Served
from training.session import Tensors
from training.specimens.specimen import Part, inputs
from training.statistics import compare
from training.steps import viewing
from training.steps.forming import Formed, export_all
from training.steps.integers import LearntIntegers, learn_integers
from training.steps.journal import Journal
from training.steps.judging import first_rows, release_of
from training.steps.others import Others
from training.steps.shrinking import Schooling, Shrinking
from training.steps.teaching import learn, lesson_of
from training.timing import EvaluateSettings, Predictor, predict

CALIBRATED_ON = 512
"""Training inputs that ranges are learnt from."""


class NetworkSpecimen:
    """Learns, exports and judges as its recipe says. Implements `Specimen`."""

    runtimes: Sequence[Runtime] = (ONNX_RUNTIME, OPENVINO, OPENVINO_BF16)
    doubt = ""

    def __init__(self, journal: Journal[NetworkRecipe], exported: Exported) -> None:
        self.journal = journal
        others = _others(journal, exported)
        exported = replace(exported, material=viewing.view(journal, exported.material))
        self._exported = exported
        self._problem: Problem = journal.recipe.problem
        self.headline = self._problem.headline
        self.smaller = self._problem.better[self.headline] == "smaller"
        teacher = exported.learned.load().config
        students = [_decided_as(teacher, one) for one in journal.recipe.students]
        schooling = replace(_schooling(journal.recipe, exported), students=students, others=others)
        self._shrinking = Shrinking(journal, exported.learned.checkpoint, schooling)

    @property
    def routes(self) -> Mapping[str, Sequence[str]]:
        """See `Subject`."""
        return self._shrinking.routes

    @property
    def first(self) -> Sequence[Network]:
        """See `Subject`."""
        return self._shrinking.first

    @property
    def aware(self) -> bool:
        """If they are products that a network learns by with a teacher."""
        return teachable(self.journal.recipe.task)

    @property
    def settings(self) -> EvaluateSettings:
        """The recipe's."""
        return self.journal.recipe.evaluate

    @property
    def code(self) -> Sequence[ModuleType]:
        """What asks and measures."""
        return (sys.modules[__name__], problems, metrics, sys.modules[type(self._problem).__module__])

    def decides(self, part: Part) -> Mapping[str, Any]:
        """See `Specimen`."""
        classes = list(self._exported.material.dataset.classes)
        return {"part": self._part(part), "problem": self._problem, "classes": classes}

    def floating(self, network: Network) -> Path:
        """See `Specimen`."""
        return self._exports(network)[0].model

    def integers(self, network: Network) -> LearntIntegers:
        """See `Specimen`."""
        return learn_integers(self._shrinking, network, self._export, (export, problems, tracing))

    def samples(self, network: Network) -> Tensors:  # noqa: ARG002 - all take the same
        """See `Specimen`."""
        train = self._exported.material.dataset.train
        return self._asked(train.take(sample(len(train), CALIBRATED_ON, self.journal.recipe.seed)))

    def shown(self, network: Network) -> Tensors:
        """See `Specimen`."""
        return self.samples(network)

    def counted(self, rows: int) -> str:
        """See `Specimen`."""
        return inputs(rows)

    def release(self, design: Design, model: Path) -> Release:
        """See `Specimen`."""
        formed = replace(self._formed(design), model=model)
        golden = first_rows(self.requests("validation"))
        return release_of(self.journal.recipe, formed, self._exported.material, golden, metrics={}, evidence={})

    def forms(self, network: Network) -> Mapping[str, Release]:
        """See `Specimen`."""
        recipe, material = self.journal.recipe, self._exported.material
        known = self._problem.forms(checkpoint.load_network(self._shrinking.learned(network), nn.Module), material)
        made = {}
        for one in self._exports(network)[1:]:
            form = known[one.variant]
            golden = first_rows(dict(zip(form.signature.inputs, form.samples, strict=True)))
            named = replace(one, variant=f"{network.name}-{one.variant}")
            made[one.variant] = release_of(recipe, named, material, golden, metrics={}, evidence={"parity": one.parity})
        return made

    def requests(self, part: Part) -> Tensors:
        """See `Specimen`."""
        return self._asked(self._part(part))

    def predictor(self, served: Served) -> Predictor:
        """The service."""
        return served

    def answers(self, served: Served, design: Design, model: Path, part: Part) -> Tensors:  # noqa: ARG002 - it is served
        """What the service answers."""
        return predict(served, self._name(design), self.requests(part))

    def score(self, answers: Tensors, teacher: Tensors, part: Part) -> float:  # noqa: ARG002 - targets are known
        """See `Specimen`."""
        split, material = self._part(part), self._exported.material
        if (deciding := self._problem.deciding(answers, split, material)) is not None:
            return float(deciding(np.arange(len(split))))
        return self._problem.measure(answers, split, material).figures[self.headline].value

    def scores(self, answers: Tensors, teacher: Tensors) -> Scores:  # noqa: ARG002 - targets are known
        """See `Specimen`."""
        return self._problem.measure(answers, self._part("test"), self._exported.material)

    def against(self, answers: Tensors, rival: Tensors, teacher: Tensors) -> Against | None:  # noqa: ARG002 - targets are known
        """See `Specimen`; None where answers aren't to inputs."""
        split, material, problem = self._part("test"), self._exported.material, self._problem
        own, other = (problem.deciding(one, split, material) for one in (answers, rival))
        if own is None or other is None:
            return None
        drawn = problem.resampling(split)
        apart = difference(own, other, split.sources, drawn)
        said = verdict(apart, smaller=self.smaller)
        mine, theirs = (problem.right(one, split) for one in (answers, rival))
        pairs = None if mine is None or theirs is None else compare(mine, theirs, split.sources)
        first, second = (problem.slices(one, split, material) for one in (answers, rival))
        return Against(
            difference=apart,
            verdict=said if pairs is None else verdict_of_pairs(pairs),
            pairs=pairs,
            sliced=first.figure if first else "",
            slices=differences(first.statistic, second.statistic, first.names, split.sources, drawn)
            if first and second
            else {},
        )

    def _export(self, network: nn.Module, path: Path) -> None:
        form = next(iter(self._problem.forms(network, self._exported.material).values()))
        export.export(form.module, form.samples, path, form.signature)

    def _exports(self, network: Network) -> Sequence[Formed]:
        """A network's files in floating point, the first of which is measured. Raises as `floating` does."""
        if network == Network():
            return self._exported.formed
        learned = self._shrinking.learned(network)
        return export_all(self.journal, learned, self._exported.material, step=f"export-{network.name}")

    def _formed(self, design: Design) -> Formed:
        return replace(self._exported.formed[0], variant=design.name, first=False, runtime=design.runtime)

    def _name(self, design: Design) -> str:
        return self._formed(design).name(self.journal.recipe.family)

    def _part(self, part: Part) -> Split:
        dataset = self._exported.material.dataset
        return dataset.test if part == "test" else dataset.validation

    def _asked(self, split: Split) -> Tensors:
        return self._problem.requests(self._exported.learned.load(), split, self.journal.recipe.seed)


def _decided_as(teacher: Any, config: Any) -> Any:
    """A config with what the data decided of the teacher's."""
    known = [field.name for field in fields(config) if field.name in DECIDED]
    return replace(config, **{name: getattr(teacher, name) for name in known})


def _schooling(recipe: NetworkRecipe, exported: Exported) -> Schooling:
    learned, dataset = exported.learned, exported.material.dataset
    own = lesson_of(recipe, exported.material)

    def batches(size: int) -> Batches:
        return Batches(dataset.train, size=size, transforms=own.changes, seed=recipe.seed)

    return Schooling(
        task=own.task,
        batches=batches,
        validation=dataset.validation,
        distil=recipe.distil,
        decides={"train": dataset.train, "validation": dataset.validation, "augment": list(recipe.augment)},
        code=own.code(recipe.problem),
        epoch_seconds=learned.facts.seconds / len(learned.fitted.epochs),
    )


def _others(journal: Journal[NetworkRecipe], exported: Exported) -> Others:
    """Who teaches along with the trained network."""

    def other(place: int) -> Path:
        return learn(journal, exported.material, place=place).checkpoint

    return Others(journal, count=journal.recipe.teachers - 1, learn=other, seconds=exported.learned.facts.seconds)
