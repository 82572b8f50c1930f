"""The steps of a search for variants: making each, and measuring it through the service beside the teacher.

What is made and measured is kept as any step is, so a search that was killed goes on where it was.
"""

import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
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
from training.compression.search.made import Made
from training.compression.search.numbers import AWARE
from training.compression.search.trial import Trial
from training.compression_report import Tested
from training.deadline import OVER, Deadline, TimeUp
from training.durable import put
from training.errors import Diverged
from training.gain import Gain
from training.machine import machine
from training.publish import Release
from training.runtime import ONNX_RUNTIME, Runtime
from training.specimens.specimen import Part, Specimen
from training.steps import asking, quantizing
from training.steps.asking import Found, ask
from training.steps.explaining import Evidence, Source, explain
from training.steps.foreseeing import TESTED, TRIALS, Foreseen


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
    """Makes and measures the variants of a specimen, by a `deadline`. Implements `Subject`.

    What is done already takes no time. Of the rest, each variant is begun if it is foreseen to be made and measured by
    then, and what is worth having to be tested besides: see `reserve`. All that was begun in time is measured.
    """

    def __init__(self, specimen: Specimen, deadline: Deadline) -> None:
        self._specimen = specimen
        self._journal = specimen.journal
        self._deadline = deadline
        self._files: dict[Design, Path] = {}
        self._made: dict[Design, Made] = {}
        self._reserved: Sequence[Design] = ()
        self._foreseen = Foreseen(self._journal)

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
        """See `Subject`; there is always time for the teacher."""
        with self._journal.until(OVER):
            known = self._done(designs)
        if len(known) == len(designs) or not (designs[0] == Design() or self._limit(1).left > 0):
            return known
        return max(known, self._new(designs), key=len)

    def reserve(self, designs: Sequence[Design]) -> None:
        """Set aside as much time as it takes to test these variants and to say what ran of them."""
        self._reserved = designs

    def tested(self, designs: Sequence[Design], needed: Collection[Design]) -> Mapping[str, Tested]:
        """What these variants are worth on the test part, beside the teacher and what they were made from.

        Those that are `needed`, and of the others, the last ones left out, as many as there is time for.
        """
        with self._journal.until(OVER), suppress(TimeUp):
            return self._test(designs)
        left = list(designs)
        while self._deadline.left < self._to_tell(left) and (others := [one for one in left if one not in needed]):
            left.remove(others[-1])
        return self._test(left)

    def release(self, design: Design) -> Release:
        """A variant as a model version, of which nothing is told yet."""
        return self._specimen.release(design, self._file(design))

    def forms(self, network: Network) -> Mapping[str, Release]:
        """What else a network is served as, by the form's name."""
        return self._specimen.forms(network)

    def explained(self, designs: Sequence[Design], needed: Collection[Design], *, rows: int) -> Mapping[str, Evidence]:
        """What ran of variants that were tried, with so many `rows` at once, and why they are as fast as they are.

        Of those that are `needed`, and of the others as far as there is time.
        """
        told = {one: self._explained(one, rows) for one in designs if one in needed}
        for one in (one for one in designs if one not in needed):
            limit = self._deadline.before(self._foreseen.to_explain(one))
            with self._journal.until(limit), suppress(TimeUp):
                told[one] = self._explained(one, rows)
        return {one.name: told[one] for one in designs if one in told}

    def _done(self, designs: Sequence[Design]) -> Sequence[Trial]:
        """Trials of those that were made and measured before, or are known not to be."""
        files: dict[Design, Path] = {}
        failed: dict[Design, Tried] = {}
        for design in designs:
            try:
                files[design] = self._file(design)
            except TimeUp:
                continue
            except (ArtifactError, SettingsError, Diverged) as error:
                failed[design] = Tried(failed=str(error))
        while True:  # the last ones may have been made, and not measured
            with suppress(TimeUp):
                return self._trials(designs, files, failed)
            files.popitem()

    def _new(self, designs: Sequence[Design]) -> Sequence[Trial]:
        """Trials of the first ones, as many as there is time for, that are made now as far as they weren't before."""
        files: dict[Design, Path] = {}
        failed: dict[Design, Tried] = {}
        for design in designs:
            limit = Deadline() if design == Design() else self._limit(len(files) + 1)
            try:
                limit.check()
                with self._journal.until(limit):
                    files[design] = self._file(design)
            except TimeUp as error:
                self._journal.warn(f"{design.name}: {error}")
                break
            except (ArtifactError, SettingsError, Diverged) as error:
                failed[design] = Tried(failed=str(error))
        return self._trials(designs, files, failed)

    def _trials(
        self, designs: Sequence[Design], files: Mapping[Design, Path], failed: Mapping[Design, Tried]
    ) -> Sequence[Trial]:
        """Those of the `designs` that have `files`, measured, and that `failed`. Raises TimeUp."""
        found = self._tried({Design(): self._file(Design()), **files}, designs[-1].name) if files else {}
        told = {**found, **failed}
        teacher = found[Design()].score if found else math.nan
        return [self._trial(one, told[one], teacher) for one in designs if one in told]

    def _limit(self, measured: int) -> Deadline:
        """Until when the last of so many variants, which are measured beside the teacher, has to be made."""
        return self._deadline.before(self._foreseen.turn * (measured + 1) + self._to_tell(self._reserved))

    def _to_tell(self, designs: Sequence[Design]) -> float:
        """About how many seconds it takes to say what these are worth and what ran of them."""
        return self._foreseen.to_test(designs) + self._foreseen.to_explain(*designs)

    def _explained(self, design: Design, rows: int) -> Evidence:
        model, original = self._file(design), self._file(Design(network=design.network))
        shown, made = self._specimen.shown(design.network), self._made[design]
        teacher = Source(model=self._file(Design()), samples=self._specimen.shown(Network()))
        return explain(self._journal, design, model, original, shown, teacher=teacher, rows=rows, made=made)

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
                learnt, samples = self._specimen.integers(known.network), self._specimen.samples(known.network)
                self._files[known] = quantizing.learnt(self._journal, known, learnt, samples)
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

    def _test(self, designs: Sequence[Design]) -> Mapping[str, Tested]:
        parents = [one.parent for one in designs if one.parent is not None]
        files = {one: self._file(one) for one in dict.fromkeys((*designs, *parents))}
        self._measure(TESTED, files, "test", lambda found: self._told(found, designs))
        return msgspec.json.decode(self._journal.path(TESTED, TRIALS).read_bytes(), type=dict[str, Tested])

    def _told(self, found: Found, designs: Sequence[Design]) -> Mapping[str, Tested]:
        specimen, answers, usual = self._specimen, found.answers, Design().name
        present = [one for one in designs if one.name in answers]
        scores = {one.name: specimen.scores(answers[one.name], answers[usual]) for one in present}
        figures = {name: one.figures[specimen.headline] for name, one in scores.items()}
        told = {}
        for design in present:
            name, parent = design.name, design.parent.name if design.parent else ""
            rivals = {usual, parent} & answers.keys() - {name}
            against = {one: specimen.against(answers[name], answers[one], answers[usual]) for one in rivals}
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
        self._foreseen.turn = self._journal.seconds(step) / len(files)


def _usual(design: Design) -> Design:
    """The same file for the usual runtime."""
    return replace(design, runtime=ONNX_RUNTIME)
