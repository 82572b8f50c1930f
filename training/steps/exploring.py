"""The steps of a search for variants: making each, and measuring it through the service beside the teacher.

What is made and measured is kept as any step is, so a search that was killed goes on where it was.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

import service
from service.artifact.digest import sha256_file
from service.errors import ArtifactError, SettingsError
from training import comparison, graph, model_config, serving, session, timing
from training import gain as gaining
from training import publish as publishing
from training.compression import quantization
from training.compression.quantization.calibration import calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.preparation import prepare
from training.compression.quantization.settings import CalibrationSettings, WeightOnlySettings
from training.compression.quantization.static import static
from training.compression.quantization.weight_only import weight_only
from training.compression.search.budget import drop
from training.compression.search.design import FLOAT, Design
from training.compression.search.explore import TimeUp
from training.compression.search.trial import Trial
from training.compression_report import Tested
from training.durable import put
from training.errors import Diverged
from training.gain import Gain, gain
from training.machine import machine
from training.publish import Release
from training.runtime import ONNX_RUNTIME, Runtime
from training.session import Tensors
from training.specimens.specimen import Part, Specimen
from training.steps.explaining import Evidence, explain

MODEL, TRIALS, CACHE = "model.onnx", "trials.json", "calibration"
DYNAMIC = "dynamic"
STATIC: Mapping[str, CalibrationSettings] = {
    "static": CalibrationSettings(),
    "static_entropy": CalibrationSettings(method="entropy"),
    "static_percentile": CalibrationSettings(method="percentile"),
}
WEIGHTS: Mapping[str, WeightOnlySettings] = {
    "weights8": WeightOnlySettings(bits=8),
    "weights4": WeightOnlySettings(bits=4),
}
PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


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
    sizes: Mapping[str, int]

    def gain(self, one: str, other: str) -> Gain:
        """That of a variant over another one."""
        return gain(self.times[one], self.times[other], size=self.sizes[other] / self.sizes[one])


class Exploration:
    """Makes and measures the variants of a specimen until `end` (of time.monotonic). Implements `Subject`."""

    def __init__(self, specimen: Specimen, *, end: float) -> None:
        self._specimen = specimen
        self._journal = specimen.journal
        self._end = end
        self._files: dict[Design, Path] = {}

    @property
    def routes(self) -> Sequence[str]:
        """See `Subject`."""
        return self._specimen.routes

    @property
    def numbers(self) -> Sequence[str]:
        """Those that have a kernel for what the graph multiplies by; weights alone where products have few rows."""
        operators = graph.operators_in(self._file(Design()))
        found = list(STATIC) if operators & PRODUCTS else []
        found += [DYNAMIC] if operators & {"Gemm", "LSTM", "MatMul"} else []
        return [*found, *WEIGHTS] if "MatMul" in operators else found

    @property
    def runtimes(self) -> Sequence[Runtime]:
        """See `Subject`."""
        return self._specimen.runtimes

    def tried(self, designs: Sequence[Design]) -> Sequence[Trial]:
        """See `Subject`."""
        files, failed = {}, {}
        for design in designs:
            if design != Design() and time.monotonic() > self._end:
                raise TimeUp
            try:
                files[design] = self._file(design)
            except (ArtifactError, SettingsError, Diverged) as error:
                failed[design] = Tried(failed=str(error))
        told = {**self._tried({Design(): self._file(Design()), **files}, str(designs[-1].name)), **failed}
        return [self._trial(one, told[one], told[Design()].score) for one in designs]

    def tested(self, designs: Sequence[Design]) -> Mapping[str, Tested]:
        """What these variants are worth on the test part, beside the teacher and what they were made from."""
        parents = [one.parent for one in designs if one.parent is not None]
        files = {one: self._file(one) for one in dict.fromkeys((*designs, *parents))}
        self._measure("tested", files, "test", lambda found: self._told(found, designs))
        return msgspec.json.decode(self._journal.path("tested", TRIALS).read_bytes(), type=dict[str, Tested])

    def release(self, design: Design) -> Release:
        """A variant as a model version, of which nothing is told yet."""
        return self._specimen.release(design, self._file(design))

    def explained(self, designs: Sequence[Design]) -> Mapping[str, Evidence]:
        """What ran of these variants, and why they are as fast as they are."""
        samples = self._specimen.samples()
        originals = {one: self._file(Design(network=one.network)) for one in designs}
        return {one.name: explain(self._journal, one, self._file(one), originals[one], samples) for one in designs}

    def _trial(self, design: Design, tried: Tried, teacher: float) -> Trial:
        if tried.gain is None:
            return Trial(design=design, failed=tried.failed)
        lost = drop(teacher, tried.score, smaller=self._specimen.smaller)
        return Trial(design=design, score=tried.score, drop=lost, gain=tried.gain)

    def _file(self, design: Design) -> Path:
        """A variant's file. Raises ArtifactError if it can't be made, and what the specimen raises."""
        if (known := replace(design, runtime=ONNX_RUNTIME)) not in self._files:
            if known.numbers == FLOAT:
                self._files[known] = self._specimen.floating(known.network)
            else:
                self._files[known] = self._quantized(known, self._file(replace(known, numbers=FLOAT)))
        return self._files[known]

    def _quantized(self, design: Design, source: Path) -> Path:
        samples, numbers, step = self._specimen.samples(), design.numbers, design.name

        def action(folder: Path) -> None:
            with tempfile.TemporaryDirectory() as scratch:
                prepared = Path(scratch) / MODEL
                prepare(source, prepared)
                if numbers == DYNAMIC:
                    dynamic(prepared, folder / MODEL)
                elif numbers in WEIGHTS:
                    weight_only(prepared, folder / MODEL, WEIGHTS[numbers])
                else:
                    ranges = calibrate(prepared, samples, STATIC[numbers], cache=self._journal.folder / CACHE)
                    static(prepared, folder / MODEL, ranges)

        path = self._journal.path(step, MODEL)
        self._journal.do(
            step,
            {"model": source, "numbers": numbers, **samples},
            (sys.modules[__name__], quantization, graph, session),
            action,
            lambda: f"{path.stat().st_size / 1e6:.2f} MB",
        )
        return path

    def _tried(self, files: Mapping[Design, Path], name: str) -> Mapping[Design, Tried]:
        def told(found: Found) -> Mapping[str, Tried]:
            teacher = found.answers[Design().name]
            return {
                one: Tried(
                    score=self._specimen.score(answers, teacher, "validation"), gain=found.gain(one, Design().name)
                )
                for one, answers in found.answers.items()
            } | {one: Tried(failed=reason) for one, reason in found.refused.items()}

        step = f"trial-{name}"
        self._measure(step, files, "validation", told)
        kept = msgspec.json.decode(self._journal.path(step, TRIALS).read_bytes(), type=dict[str, Tried])
        return {design: kept[design.name] for design in files}

    def _told(self, found: Found, designs: Sequence[Design]) -> Mapping[str, Tested]:
        specimen, answers, usual = self._specimen, found.answers, Design().name
        present = [one for one in designs if one.name in answers]
        scores = {one.name: specimen.scores(answers[one.name], answers[usual]) for one in present}
        figures = {name: one.figures[specimen.headline] for name, one in scores.items()}
        told = {}
        for design in present:
            name, parent = design.name, design.parent.name if design.parent else ""
            rivals = {usual, parent} & answers.keys() - {name}
            against = {rival: specimen.against(answers[name], answers[rival]) for rival in rivals}
            told[name] = Tested(
                figure=figures[name],
                drop=drop(figures[usual].value, figures[name].value, smaller=specimen.smaller),
                figures=scores[name].figures,
                by=scores[name].by,
                against_teacher=against.get(usual),
                against_parent=against.get(parent),
                gain=found.gain(name, usual),
                over_parent=found.gain(name, parent) if parent in rivals else None,
                speed=timing.speed(found.times[name]),
                size=found.sizes[name],
            )
        return told

    def _measure(
        self, step: str, files: Mapping[Design, Path], part: Part, told: Callable[[Found], Mapping[str, object]]
    ) -> None:
        """Measure all of them in one service, and keep what that is `told` as."""

        def action(folder: Path) -> None:
            found = self._through_service(files, part)
            put(folder / TRIALS, msgspec.json.format(msgspec.json.encode(told(found)), indent=1))

        inputs = {
            **self._specimen.decides(part),
            "settings": self._specimen.settings,
            "machine": msgspec.to_builtins(machine()),
            **{one.name: [str(one.runtime), sha256_file(model)] for one, model in files.items()},
        }
        own = (sys.modules[__name__], timing, serving, publishing, model_config, graph, session, gaining)
        compared = (comparison, service)
        code = (*own, *compared, *self._specimen.code)
        self._journal.do(step, inputs, code, action, lambda: f"{len(files)} side by side, through the service")

    def _through_service(self, files: Mapping[Design, Path], part: Part) -> Found:
        """The answers and times of all of them; the teacher has to be served."""
        specimen = self._specimen
        with tempfile.TemporaryDirectory() as scratch:
            names = {}
            for design, model in files.items():
                release = specimen.release(design, model)
                publishing.publish(Path(scratch), release)
                names[design] = release.name
            with serving.serving(Path(scratch), [names[Design()]]) as served:
                refused = {one: served.refusal(name) for one, name in names.items() if not served.is_ready(name)}
                ready = {one: name for one, name in names.items() if one not in refused}
                answers = {one.name: specimen.answers(served, one, files[one], part) for one in ready}
                times = timing.time_side_by_side(
                    specimen.predictor(served),
                    list(ready.values()),
                    specimen.requests(part),
                    specimen.settings,
                    self._journal.console,
                )
        return Found(
            answers=answers,
            times={one.name: times[name] for one, name in ready.items()},
            refused={one.name: reason for one, reason in refused.items()},
            sizes={one.name: model.stat().st_size for one, model in files.items()},
        )
