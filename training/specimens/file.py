"""An ONNX file of anybody's, of which only its own answers are known: those of its variants should be like them."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import onnx

from service.artifact.names import is_model_name
from service.errors import ArtifactError, SettingsError
from training import bootstrap, imports, rehearsal, session
from training.bootstrap import DRAWS, Indices
from training.common_settings import LONGEST_VARIANT
from training.comparison import Against, difference, verdict
from training.compression.quantization.preparation import check_batched
from training.compression.quantization.samples import check_samples
from training.compression.search.design import Design, Network
from training.errors import as_given, one_line
from training.graph import Tensors as Graph
from training.graph import nodes_of, tensors_of
from training.imports import onnx_file, samples
from training.imports.converted import Converted
from training.imports.proving import SEED, prove
from training.imports.release import VARIANT, seen
from training.machine import machine
from training.model_config import model_config
from training.problems.problem import Scores
from training.publish import Golden, Release
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16, Runtime
from training.serving import Served
from training.session import Arrays, Run, Tensors, open_model, open_runner
from training.specimens.specimen import Part, inputs
from training.statistics import Values
from training.steps.integers import LearntIntegers
from training.steps.journal import Journal
from training.timing import AT_ONCE, EvaluateSettings, Predictor, predict

MODEL = "model.onnx"
FILE = "file"
FEW = 16
"""Samples of which fewer say little."""


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """The ONNX file `source`, called `name`, and the NPZ that it is asked with; without, by random numbers."""

    name: str
    source: Path
    samples: Path | None = None
    profile: str = FILE

    def __post_init__(self) -> None:
        if not is_model_name(f"{self.name}{LONGEST_VARIANT}"):
            raise SettingsError(
                f"{self.source.name}: must be called by letters, digits, '.', '_' and '-': it names a folder"
            )

    @property
    def about(self) -> str:
        """What stands above all that is told of it."""
        return self.source.name


class FileSpecimen:
    """Asked with one half of the samples; ranges are learnt from the other. Implements `Specimen`.

    Its headline figure is the fidelity: 1 less the distance between a variant's answers to a sample and those of the
    file, as a share of the length of the latter (both Euclidean), of the output that is furthest off; the mean over all
    samples. Of integers, which are classes or tokens, it is the share of those that are the same. Nothing else is known
    of it, so there is no test part: both parts are the same.
    """

    headline = "fidelity"
    smaller = False
    runtimes: Sequence[Runtime] = (ONNX_RUNTIME, OPENVINO, OPENVINO_BF16)
    routes: Mapping[str, Sequence[str]] = MappingProxyType({})
    settings = EvaluateSettings(rounds=12, requests=24, batch_sizes=(1, 8))
    first: Sequence[Network] = ()
    aware = False
    code: Sequence[ModuleType] = (sys.modules[__name__], imports, session, bootstrap)

    def __init__(self, journal: Journal[FileSettings]) -> None:
        """Raises SettingsError that names what about the file or the samples can't be."""
        self.journal = journal
        given, source = journal.recipe.samples, journal.recipe.source
        with as_given():
            rehearsal.check_survived(source, {})
            converted = onnx_file.load(source)
            self._graph: Graph = tensors_of(converted.model)
            check_batched(self._graph, source.name)
            _check_numbers(self._graph, source.name)
            arrays = samples.draw(self._graph, SEED) if given is None else samples.read(given, self._graph)
            names = [one.name for one in self._graph.inputs]
            check_samples(self._graph, dict(zip(names, arrays, strict=True)))
            self._model = self._proved(converted, arrays)
        learnt = len(arrays[0]) // 2
        self._learnt = {name: array[:learnt] for name, array in zip(names, arrays, strict=True)}
        self._asked = {name: array[learnt:] for name, array in zip(names, arrays, strict=True)}
        self.doubt = _doubt(given, arrays)
        if self.doubt:
            journal.warn(self.doubt)

    def decides(self, part: Part) -> Mapping[str, Any]:  # noqa: ARG002 - there is one
        """See `Specimen`."""
        return dict(self._asked)

    def floating(self, network: Network) -> Path:
        """The file, with all its weights. Raises SettingsError for another network: nothing can be learnt."""
        if network != Network():
            raise SettingsError(f"{network.name}: a file has no training data that a smaller network could learn from")
        return self._model

    def integers(self, network: Network) -> LearntIntegers:
        """Raises SettingsError: there are none."""
        raise SettingsError(f"{network.name}: a file has no training data, so no integers are learnt")

    def samples(self, network: Network) -> Tensors:  # noqa: ARG002 - all take the same
        """See `Specimen`."""
        return self._learnt

    def shown(self, network: Network) -> Tensors:
        """See `Specimen`."""
        return self.samples(network)

    def counted(self, rows: int) -> str:
        """See `Specimen`."""
        return inputs(rows)

    def release(self, design: Design, model: Path) -> Release:
        """See `Specimen`."""
        name = self._name(design)
        shown = {name: array[: samples.ROWS] for name, array in self._asked.items()}
        answered = open_model(model, runtime=design.runtime)(shown)
        return Release(
            name=name,
            model=model,
            config=model_config(
                self._graph, name=name, family=self.journal.recipe.name, variant=design.name, runtime=design.runtime
            ),
            beside={},
            inside={},
            golden=Golden(
                inputs=seen(self._graph.inputs, list(shown.values()), batched=True),
                outputs=seen(self._graph.outputs, [answered[one.name] for one in self._graph.outputs], batched=True),
            ),
            family=self.journal.recipe.name,
            variant=design.name,
            parent=VARIANT,
            chosen=None,
            metrics={},
            evidence={},
            transforms={},
            machine=machine(),
        )

    def forms(self, network: Network) -> Mapping[str, Release]:  # noqa: ARG002 - a file is all there is
        """See `Specimen`."""
        return {}

    def requests(self, part: Part) -> Tensors:  # noqa: ARG002 - there is one
        """See `Specimen`."""
        return seen(self._graph.inputs, list(self._asked.values()), batched=True)

    def predictor(self, served: Served) -> Predictor:
        """The service."""
        return served

    def answers(self, served: Served, design: Design, model: Path, part: Part) -> Tensors:  # noqa: ARG002 - it is served
        """What the service answers."""
        return predict(served, self._name(design), self.requests(part))

    def score(self, answers: Tensors, teacher: Tensors, part: Part) -> float:  # noqa: ARG002 - there is one
        """See `Specimen`."""
        return float(fidelities(answers, teacher).mean())

    def scores(self, answers: Tensors, teacher: Tensors) -> Scores:
        """See `Specimen`."""
        found = fidelities(answers, teacher)
        told = bootstrap.bootstrap(_mean_of(found), np.arange(len(found)), DRAWS, bounds=(-np.inf, 1.0))
        return Scores(figures={self.headline: bootstrap.figure(told)})

    def against(self, answers: Tensors, rival: Tensors, teacher: Tensors) -> Against | None:
        """See `Specimen`. Beside the file itself it is None: what is lost says that already."""
        if rival is teacher:
            return None
        own, other = (_mean_of(fidelities(one, teacher)) for one in (answers, rival))
        apart = difference(own, other, np.arange(len(next(iter(teacher.values())))))
        return Against(difference=apart, verdict=verdict(apart, smaller=self.smaller))

    def _name(self, design: Design) -> str:
        return f"{self.journal.recipe.name}-{design.name}"

    def _proved(self, converted: Converted, arrays: Arrays) -> Path:
        settings, path = self.journal.recipe, self.journal.path("import", MODEL)

        def action(folder: Path) -> None:
            try:
                proved = prove(converted, folder / MODEL, samples=settings.samples, batched=False)
            except ArtifactError as error:
                raise ArtifactError(f"{settings.source.name}: {error}") from error
            if proved.unbatched:
                why = f"has no batch, {proved.unbatched}"
                raise ArtifactError(f"{settings.source.name}: {why}; {_remedy(converted.model)}")
            _check_answers(open_runner(folder / MODEL), arrays, self._graph)

        given = {} if settings.samples is None else {"samples": settings.samples}
        # Weights may lie in files beside it, so what was read of it is what counts.
        loaded = converted.model.SerializeToString(deterministic=True)
        inputs = {"model": np.frombuffer(loaded, np.uint8), **given}
        code = (sys.modules[__name__], imports, session)
        self.journal.do("import", inputs, code, action, lambda: f"{path.stat().st_size / 1e6:.2f} MB")
        return path


def _doubt(given: Path | None, arrays: Arrays) -> str:
    """Why the figures say little, if they do, by what the file is asked with."""
    if given is None:
        return "no --samples: ranges are learnt from random numbers, and what is lost says little"
    different: set[bytes] = set()
    for row in range(len(arrays[0])):
        different.add(b"".join(array[row].tobytes() for array in arrays))
        if len(different) == FEW:
            return ""
    rows = f"{len(different)} different rows" if len(different) > 1 else "one row"
    return f"{given.name} has {rows}: ranges of so few, and what is lost on them, say little; some hundreds are good"


def _check_numbers(tensors: Graph, name: str) -> None:
    if texts := [one.name for one in (*tensors.inputs, *tensors.outputs) if one.dtype == object]:
        raise ArtifactError(
            f"{name}: takes or answers texts ({', '.join(texts)}); how near answers are is known of numbers"
        )


def _check_answers(run: Run, arrays: Arrays, tensors: Graph) -> None:
    """Raise ArtifactError, naming a sample, if there is one that the file can't compute, or answers by no number."""
    for start in range(0, len(arrays[0]), AT_ONCE):
        try:
            answers = run([array[start : start + AT_ONCE] for array in arrays])
        except Exception as error:  # the binding raises a dozen unrelated classes
            raise ArtifactError(f"samples: it can't compute those from {start} on ({one_line(error)})") from error
        for one, found in zip(tensors.outputs, answers, strict=True):
            if found.dtype.kind == "f" and (unsound := ~np.isfinite(found)).any():
                first = start + int(np.argwhere(unsound)[0, 0])
                raise ArtifactError(f"samples: {one.name} is NaN or infinite for sample {first}; leave such out")


def _remedy(model: onnx.ModelProto) -> str:
    """What to do about rows that depend on each other, by what they may depend on each other for."""
    nodes = list(nodes_of(model))
    if dynamic := sorted({node.op_type for node in nodes if node.op_type.startswith("DynamicQuantize")}):
        return f"it is quantized by the ranges of each batch ({', '.join(dynamic)}): give the float model it is from"
    if any(node.op_type == "BatchNormalization" and len(node.output) > 1 for node in nodes):
        return "its batch norms are being trained: export it in evaluation mode"
    return "rows have to be answered each alone"


def _mean_of(values: Values) -> Callable[[Indices], Values]:
    return lambda chosen: np.asarray(values[chosen].mean())


def fidelities(answers: Tensors, teacher: Tensors) -> Values:
    """The fidelity of each row, [N], of the output that is furthest off; see `FileSpecimen`."""
    worst = np.ones(len(next(iter(teacher.values()))))
    for name, expected in teacher.items():
        shape = (len(expected), math.prod(expected.shape[1:]))
        rows, found = expected.reshape(shape), answers[name].reshape(shape)
        if expected.dtype.kind != "f":
            worst = np.minimum(worst, (found == rows).mean(axis=1) if rows.size else 1.0)
            continue
        apart = np.linalg.norm(found.astype(np.float64) - rows, axis=1)
        length = np.linalg.norm(rows.astype(np.float64), axis=1)
        worst = np.minimum(worst, 1 - apart / np.where(length > 0, length, 1.0))
    return worst
