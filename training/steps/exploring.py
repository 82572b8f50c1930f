"""The steps of a search for variants of a network: making each, and measuring it through the service.

What is made and measured is kept as any step is, so a search that was killed goes on where it was.
"""

import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

import service
from service.artifact.digest import sha256_file
from service.errors import ArtifactError, SettingsError
from training import gain as gaining
from training import graph, metrics, model_config, problems, serving, session, timing
from training import publish as publishing
from training.comparison import difference, verdict
from training.compression import quantization
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.preparation import prepare
from training.compression.quantization.settings import CalibrationSettings
from training.compression.quantization.static import static
from training.compression.search.budget import drop
from training.compression.search.design import FLOAT, Design, Network
from training.compression.search.explore import TimeUp
from training.compression.search.trial import Trial
from training.compression_report import Tested
from training.data.batches import sample
from training.data.split import Split
from training.errors import Diverged
from training.fitted import Epoch
from training.gain import Gain, gain
from training.machine import machine
from training.network import Exported
from training.network_recipe import NetworkRecipe
from training.problems.problem import Problem
from training.runtime import ONNX_RUNTIME, OPENVINO, OPENVINO_BF16, Runtime
from training.session import Tensors
from training.steps.forming import Formed, export_all
from training.steps.journal import Journal
from training.steps.judging import first_rows, release_of
from training.steps.shrinking import ROUTES, Shrinking
from training.tasks.task import Game

MODEL, TRIALS, CACHE = "model.onnx", "trials.json", "calibration"
CALIBRATED_ON = 512
"""Training inputs that ranges are learnt from."""
STATIC: Mapping[str, CalibrationSettings] = {
    "static": CalibrationSettings(),
    "static_entropy": CalibrationSettings(method="entropy"),
    "static_percentile": CalibrationSettings(method="percentile"),
}
DYNAMIC = "dynamic"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What measuring a variant came to: its score on validation inputs, and its gain; or why it couldn't be."""

    score: float = 0.0
    gain: Gain | None = None
    failed: str = ""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one service answered and took, by variant; those that it `refused` to serve have a reason instead."""

    answers: Mapping[str, Tensors]
    times: timing.Timings
    refused: Mapping[str, str]

    def gain(self, one: Formed, other: Formed) -> Gain:
        """That of a variant over another one."""
        size = other.model.stat().st_size / one.model.stat().st_size
        return gain(self.times[one.variant], self.times[other.variant], size=size)


class NetworkSubject:
    """A recipe's network, whose first form is compressed. Implements `Subject`."""

    def __init__(self, journal: Journal[NetworkRecipe], exported: Exported, *, minutes: float | None = None) -> None:
        self._end = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self._journal = journal
        self._recipe = journal.recipe
        self._problem: Problem = journal.recipe.problem
        self._exported = exported
        self._teacher = exported.formed[0]
        self._shrinking = Shrinking(
            journal=journal, material=exported.material, teacher=exported.learned, observer=self._observe
        )

    @property
    def routes(self) -> Sequence[str]:
        """Both, unless parts of the network learn against each other: nobody taught one of those yet."""
        return () if isinstance(self._recipe.task, Game) else ROUTES

    @property
    def numbers(self) -> Sequence[str]:
        """Those that have a kernel for what the graph multiplies by."""
        operators = graph.operators_in(self._teacher.model)
        found = list(STATIC) if operators & {"Conv", "ConvTranspose", "Gemm", "MatMul"} else []
        return [*found, DYNAMIC] if operators & {"Gemm", "LSTM", "MatMul"} else found

    @property
    def runtimes(self) -> Sequence[Runtime]:
        """Both."""
        return (ONNX_RUNTIME, OPENVINO, OPENVINO_BF16)

    def tried(self, designs: Sequence[Design]) -> Sequence[Trial]:
        """See `Subject`."""
        made: dict[Design, Formed] = {}
        failed: dict[Design, str] = {}
        for design in designs:
            if design != Design() and time.monotonic() > self._end:
                raise TimeUp
            try:
                made[design] = self._made(design)
            except (ArtifactError, SettingsError, Diverged) as error:
                failed[design] = str(error)
        told = self._measured(made) if made else {}
        teacher = told.get(Design()) or self._measured({Design(): self._made(Design())})[Design()]
        return [self._trial(one, failed.get(one, ""), told.get(one), teacher.score) for one in designs]

    def tested(self, designs: Sequence[Design]) -> Mapping[str, Tested]:
        """What these variants are worth on the test part, the teacher first."""
        test = self._exported.material.dataset.test
        formed = {design.name: self._made(design) for design in designs}

        def action(folder: Path) -> None:
            told = self._on_test(list(formed.values()), test)
            (folder / TRIALS).write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1))

        self._do_measure("tested", formed, test, action)
        return msgspec.json.decode(self._journal.path("tested", TRIALS).read_bytes(), type=dict[str, Tested])

    def _observe(self, _: Epoch) -> None:
        if time.monotonic() > self._end:
            raise TimeUp

    def _trial(self, design: Design, failed: str, tried: Tried | None, teacher: float) -> Trial:
        if tried is None or tried.gain is None:
            return Trial(design=design, failed=failed or (tried.failed if tried else ""))
        smaller = self._problem.better[self._problem.headline] == "smaller"
        lost = drop(teacher, tried.score, smaller=smaller)
        return Trial(design=design, score=tried.score, drop=lost, gain=tried.gain)

    def _made(self, design: Design) -> Formed:
        """The variant as a file with all that its config has to know. Raises ArtifactError."""
        formed = self._formed(design.network)
        model = formed.model if design.numbers == FLOAT else self._quantized(design, formed.model)
        return replace(formed, variant=design.name, first=False, model=model, runtime=design.runtime)

    def _formed(self, network: Network) -> Formed:
        """The network in floating point, exported. Raises SettingsError if there is none of that size."""
        if network == Network():
            return self._teacher
        learned = self._shrinking.learned(network)
        forms = export_all(self._journal, learned, self._exported.material, step=f"export-{network.name}")
        return forms[0]

    def _quantized(self, design: Design, source: Path) -> Path:
        samples, numbers = self._samples(), design.numbers
        step = replace(design, runtime=ONNX_RUNTIME).name

        def action(folder: Path) -> None:
            with tempfile.TemporaryDirectory() as scratch:
                prepared = Path(scratch) / MODEL
                prepare(source, prepared)
                if numbers == DYNAMIC:
                    dynamic(prepared, folder / MODEL)
                else:
                    ranges = calibrate(prepared, samples, STATIC[numbers], cache=self._journal.folder / CACHE)
                    static(prepared, folder / MODEL, ranges)

        inputs = {"model": source, "numbers": numbers, **samples}
        path = self._journal.path(step, MODEL)
        code = (sys.modules[__name__], quantization, graph, session)
        self._journal.do(step, inputs, code, action, lambda: f"{path.stat().st_size / 1e6:.2f} MB")
        return path

    def _samples(self) -> Tensors:
        train = self._exported.material.dataset.train
        chosen = train.take(sample(len(train), CALIBRATED_ON, self._recipe.seed))
        return self._problem.requests(self._exported.learned.load(), chosen, self._recipe.seed)

    def _measured(self, made: Mapping[Design, Formed]) -> Mapping[Design, Tried]:
        """All of them beside the teacher, through one service."""
        validation = self._exported.material.dataset.validation
        formed = {Design().name: self._made(Design()), **{design.name: one for design, one in made.items()}}
        step = f"trial-{list(formed)[-1]}"

        def action(folder: Path) -> None:
            told = self._validated(list(formed.values()), validation)
            (folder / TRIALS).write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=1))

        self._do_measure(step, formed, validation, action)
        told = msgspec.json.decode(self._journal.path(step, TRIALS).read_bytes(), type=dict[str, Tried])
        return {design: told[design.name] for design in made}

    def _do_measure(
        self, step: str, formed: Mapping[str, Formed], split: Split, action: Callable[[Path], None]
    ) -> None:
        inputs = {
            "split": split,
            "problem": self._problem,
            "settings": self._recipe.evaluate,
            "machine": msgspec.to_builtins(machine()),
            **{name: [str(one.runtime), sha256_file(one.model)] for name, one in formed.items()},
        }
        own = (sys.modules[__name__], timing, serving, publishing, model_config, graph, session, gaining)
        named = sys.modules[type(self._problem).__module__]
        told = f"{len(formed)} side by side, through the service"
        self._journal.do(step, inputs, (*own, service, problems, metrics, named), action, lambda: told)

    def _validated(self, formed: Sequence[Formed], split: Split) -> Mapping[str, Tried]:
        found = self._through_service(formed, split)
        teacher = formed[0]
        told = {one.variant: Tried(failed=found.refused.get(one.variant, "")) for one in formed}
        for name, answers in found.answers.items():
            one = next(one for one in formed if one.variant == name)
            told[name] = Tried(score=self._score(answers, split), gain=found.gain(one, teacher))
        return told

    def _on_test(self, formed: Sequence[Formed], split: Split) -> Mapping[str, Tested]:
        problem, material = self._problem, self._exported.material
        headline = problem.headline
        smaller = problem.better[headline] == "smaller"
        found = self._through_service(formed, split)
        teacher = found.answers[formed[0].variant]
        usual = problem.measure(teacher, split, material).figures[headline]
        rival = problem.deciding(teacher, split, material)
        told = {}
        for one in formed:
            if one.variant in found.refused:
                continue
            answers = found.answers[one.variant]
            figure, own = problem.measure(answers, split, material).figures[headline], None
            apart = None
            if one is not formed[0] and rival is not None:
                own = problem.deciding(answers, split, material)
                assert own is not None  # it is of the same problem
                apart = difference(own, rival, split.sources, problem.resampling(split))
            told[one.variant] = Tested(
                figure=figure,
                drop=drop(usual.value, figure.value, smaller=smaller),
                difference=apart,
                verdict=None if apart is None else verdict(apart, smaller=smaller),
                gain=found.gain(one, formed[0]),
                speed=timing.speed(found.times[one.variant]),
                size=one.model.stat().st_size,
            )
        return told

    def _through_service(self, formed: Sequence[Formed], split: Split) -> "Found":
        """The answers and times of all of them in one service; the first is the teacher, which has to be served."""
        recipe, material = self._recipe, self._exported.material
        asked = self._problem.requests(self._exported.learned.load(), split, recipe.seed)
        names = {one.variant: one.name(recipe.family) for one in formed}
        with tempfile.TemporaryDirectory() as scratch:
            for one in formed:
                release = release_of(recipe, one, material, first_rows(asked), metrics={}, evidence={})
                publishing.publish(Path(scratch), release)
            with serving.serving(Path(scratch), [names[formed[0].variant]]) as served:
                refused = {one: served.refusal(name) for one, name in names.items() if not served.is_ready(name)}
                ready = {one: name for one, name in names.items() if one not in refused}
                answers = {one: timing.predict(served, name, asked) for one, name in ready.items()}
                times = timing.time_side_by_side(
                    served, list(ready.values()), asked, recipe.evaluate, self._journal.console
                )
        return Found(answers=answers, times={one: times[name] for one, name in ready.items()}, refused=refused)

    def _score(self, answers: Tensors, split: Split) -> float:
        """The headline figure."""
        material = self._exported.material
        if (deciding := self._problem.deciding(answers, split, material)) is not None:
            return float(deciding(np.arange(len(split))))
        return self._problem.measure(answers, split, material).figures[self._problem.headline].value
