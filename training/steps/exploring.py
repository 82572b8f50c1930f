"""The steps of a search for variants: making each, and measuring it through the service beside the teacher.

What is made and measured is kept as any step is, so a search that was killed goes on where it was.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

import service
from service.artifact.digest import sha256_file
from service.errors import ArtifactError, SettingsError
from training import comparison, graph, model_config, rehearsal, serving, session, timing
from training import gain as gaining
from training import publish as publishing
from training.compression.search.budget import drop
from training.compression.search.design import FLOAT, Design, Network
from training.compression.search.explore import TimeUp
from training.compression.search.made import Made
from training.compression.search.numbers import AWARE
from training.compression.search.trial import Trial
from training.compression_report import Tested
from training.durable import put
from training.errors import Diverged
from training.gain import Gain
from training.machine import machine
from training.publish import Release
from training.runtime import ONNX_RUNTIME, Runtime
from training.specimens.specimen import Part, Specimen
from training.steps import asking, quantizing
from training.steps.asking import Found, ask
from training.steps.explaining import Evidence, explain

TRIALS = "trials.json"


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What measuring a variant came to: its score on validation inputs, and its gain; or why it couldn't be.

    `alone` is as in `Made`.
    """

    score: float = 0.0
    gain: Gain | None = None
    alone: bool = False
    failed: str = ""


class Exploration:
    """Makes and measures the variants of a specimen until `end` (of time.monotonic). Implements `Subject`."""

    def __init__(self, specimen: Specimen, *, end: float) -> None:
        self._specimen = specimen
        self._journal = specimen.journal
        self._end = end
        self._files: dict[Design, Path] = {}
        self._made: dict[Design, Made] = {}

    @property
    def routes(self) -> Mapping[str, Sequence[str]]:
        """See `Subject`."""
        return self._specimen.routes

    @property
    def first(self) -> Sequence[Network]:
        """See `Subject`."""
        return self._specimen.first

    @property
    def aware(self) -> bool:
        """See `Subject`; what has no products has no integers that anything could be trained for."""
        return self._specimen.aware and bool(graph.operators_in(self._file(Design())) & quantizing.PRODUCTS)

    @property
    def numbers(self) -> Sequence[str]:
        """See `Subject`."""
        return quantizing.methods(self._file(Design()))

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

    def forms(self, network: Network) -> Mapping[str, Release]:
        """What else a network is served as, by the form's name."""
        return self._specimen.forms(network)

    def explained(self, designs: Sequence[Design], rows: int) -> Mapping[str, Evidence]:
        """What ran of variants that were tried, with so many `rows` at once, and why they are as fast as they are."""
        originals = {one: self._file(Design(network=one.network)) for one in designs}
        samples = self._specimen.samples
        return {
            one.name: explain(
                self._journal,
                one,
                self._file(one),
                originals[one],
                samples(one.network),
                rows=rows,
                made=self._made[one],
            )
            for one in designs
        }

    def _trial(self, design: Design, tried: Tried, teacher: float) -> Trial:
        if tried.gain is None:
            return Trial(design=design, failed=tried.failed)
        lost = drop(teacher, tried.score, smaller=self._specimen.smaller)
        made = Made() if design.numbers == FLOAT else quantizing.made_of(self._journal, _usual(design))
        made = self._made[design] = replace(made, alone=tried.alone)
        return Trial(design=design, score=tried.score, drop=lost, gain=tried.gain, made=made)

    def _file(self, design: Design) -> Path:
        """A variant's file. Raises ArtifactError if it can't be made, and what the specimen raises."""
        if (known := _usual(design)) not in self._files:
            if known.numbers == FLOAT:
                self._files[known] = self._specimen.floating(known.network)
            elif known.numbers == AWARE:
                learnt = self._specimen.integers(known.network)
                self._files[known] = quantizing.learnt(
                    self._journal, known, learnt, self._specimen.samples(known.network)
                )
            else:
                source, samples = self._file(replace(known, numbers=FLOAT)), self._specimen.samples(known.network)
                self._files[known] = quantizing.quantized(self._journal, known, source, samples)
        return self._files[known]

    def _tried(self, files: Mapping[Design, Path], name: str) -> Mapping[Design, Tried]:
        def told(found: Found) -> Mapping[str, Tried]:
            teacher = found.answers[Design().name]
            return {
                one: Tried(
                    score=self._specimen.score(answers, teacher, "validation"),
                    gain=found.gain(one, Design().name),
                    alone=one in found.alone,
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
            found = ask(self._specimen, files, part, self._journal.console)
            put(folder / TRIALS, msgspec.json.format(msgspec.json.encode(told(found)), indent=1))

        inputs = {
            **self._specimen.decides(part),
            "settings": self._specimen.settings,
            "machine": msgspec.to_builtins(machine()),
            **{one.name: [str(one.runtime), sha256_file(model)] for one, model in files.items()},
        }
        own = (
            sys.modules[__name__],
            asking,
            timing,
            serving,
            rehearsal,
            publishing,
            model_config,
            graph,
            session,
            gaining,
        )
        compared = (comparison, service)
        code = (*own, *compared, *self._specimen.code)
        self._journal.do(step, inputs, code, action, lambda: f"{len(files)} side by side, through the service")


def _usual(design: Design) -> Design:
    """The same file for the usual runtime."""
    return replace(design, runtime=ONNX_RUNTIME)
