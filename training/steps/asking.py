"""Variants beside the teacher in one service: what they answer and take. One that cannot stops none of the others."""

import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from service.errors import ArtifactError
from training import publish as publishing
from training import rehearsal, serving, timing
from training.compression.search.design import Design
from training.errors import Unanswered, one_line
from training.gain import Gain, gain
from training.session import Tensors
from training.specimens.specimen import Part, Specimen

SHOWN = 8
"""Inputs that each file is tried with before anything else here loads it."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What one service answered and took, by variant; those that it `refused` to serve have a reason instead.

    Of those that are `alone` it computes every request alone: batch-mates change their answers, or it isn't known.
    """

    answers: Mapping[str, Tensors]
    times: timing.Timings
    refused: Mapping[str, str]
    sizes: Mapping[str, int]
    alone: Collection[str] = ()

    def gain(self, one: str, other: str) -> Gain:
        """That of a variant over another one."""
        return gain(self.times[one], self.times[other], size=self.sizes[other] / self.sizes[one])


class Unanswerable(Exception):
    """A variant, by its `design`, that doesn't answer what it is asked; the text says why."""

    def __init__(self, design: Design, why: str) -> None:
        super().__init__(why)
        self.design = design


def ask(specimen: Specimen, files: Mapping[Design, Path], part: Part, console: Console) -> Found:
    """The answers and times of these variants on a part; the teacher is among them.

    A file that ends the process which computes it is refused, and so is one that the runtime or the service gives up
    meanwhile: then the others are asked again without it. Raises ArtifactError if the teacher is such a file,
    ServingError that says why if it isn't served, Unanswered if it doesn't answer.
    """
    fatal: dict[Path, str] = {}
    for network in dict.fromkeys(one.network for one in files):
        shown = {name: array[:SHOWN] for name, array in specimen.samples(network).items()}
        fatal |= rehearsal.fatal([model for one, model in files.items() if one.network == network], shown)
    refused = {one: f"ONNX Runtime {fatal[model]}" for one, model in files.items() if model in fatal}
    while True:
        left = {one: model for one, model in files.items() if one not in refused}
        if Design() not in left:
            raise ArtifactError(f"{Design().name}: {refused[Design()]}")
        try:
            return _asked(specimen, left, refused, part, console)
        except Unanswerable as error:
            refused[error.design] = str(error)


def _asked(
    specimen: Specimen, files: Mapping[Design, Path], refused: Mapping[Design, str], part: Part, console: Console
) -> Found:
    with tempfile.TemporaryDirectory() as scratch:
        names = {design: _publish(Path(scratch), specimen, design, model) for design, model in files.items()}
        with serving.serving(Path(scratch), [names[Design()]]) as served, _by_design(names):
            unready = {one: served.refusal(name) for one, name in names.items() if not served.is_ready(name)}
            ready = {one: name for one, name in names.items() if one not in unready}
            alone = [one.name for one, name in ready.items() if not served.is_independent(name)]
            answers = {one: specimen.answers(served, one, files[one], part) for one in ready}
            for one, found in answers.items():
                _check_numbers(one, found, answers[Design()])
            times = timing.time_side_by_side(
                specimen.predictor(served), list(ready.values()), specimen.requests(part), specimen.settings, console
            )
    return Found(
        answers={one.name: found for one, found in answers.items()},
        times={one.name: times[name] for one, name in ready.items()},
        refused={one.name: reason for one, reason in {**refused, **unready}.items()},
        sizes={one.name: model.stat().st_size for one, model in files.items()},
        alone=alone,
    )


def _publish(repository: Path, specimen: Specimen, design: Design, model: Path) -> str:
    """The name under which a variant is served. Raises Unanswerable if the runtime can't compute its golden answers."""
    try:
        release = specimen.release(design, model)
    except Exception as error:  # the binding raises a dozen unrelated classes
        if not (isinstance(error, ArtifactError) or type(error).__module__.startswith("onnxruntime")):
            raise
        raise Unanswerable(design, one_line(error)) from error
    publishing.publish(repository, release)
    return release.name


def _check_numbers(design: Design, answers: Tensors, teacher: Tensors) -> None:
    """Raise Unanswerable if an answer is NaN or infinite where the teacher's is a number: nothing can be told of it."""
    for name, found in answers.items():
        if found.dtype.kind == "f" and (lost := np.isfinite(teacher[name]) & ~np.isfinite(found)).any():
            inputs = len(np.unique(np.argwhere(lost)[:, 0]))
            raise Unanswerable(design, f"answers NaN or infinity ({name}) to {inputs} of {len(found)} inputs")


@contextmanager
def _by_design(names: Mapping[Design, str]) -> Iterator[None]:
    """Say by its design which variant a request wasn't answered of; the teacher has to answer."""
    try:
        yield
    except Unanswered as error:
        design = next(one for one, name in names.items() if name == error.model)
        if design == Design():
            raise
        raise Unanswerable(design, str(error)) from error
