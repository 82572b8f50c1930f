"""The step that says of a variant what really ran, what each layer took, and why, where it isn't faster.

That is told of the runtime alone, in this process, on one thread: what the service adds is the same for all.
"""

import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from training import session
from training.compression import evidence
from training.compression.evidence.breakdown import (
    LayerRow,
    Waterfall,
    layer_rows,
    preceded,
    unchanged,
    waterfall,
    within,
)
from training.compression.evidence.causes import Cause, Why, why
from training.compression.evidence.energy import Energy, energy
from training.compression.evidence.execution import Execution
from training.compression.evidence.footprint import Memory, Size, memory, size
from training.compression.evidence.mates import singly
from training.compression.evidence.openvino_layers import layered, layers_of
from training.compression.evidence.parity import Model, parity
from training.compression.evidence.side_by_side import ComparisonSettings, alone, side_by_side, time_runs, timed
from training.compression.search.design import FLOAT, Design, Network
from training.compression.search.made import Made
from training.durable import put
from training.machine import machine
from training.runtime import ONNX_RUNTIME, OPENVINO
from training.session import Tensors, open_model
from training.steps.journal import Journal

EVIDENCE = "evidence.json"
COMPARED_ON = 256
ENERGY_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How far one output is from that of the same network in floating point.

    `relative` is the root of the squares of all differences to that of the squares of the latter, None where that is
    zero; `largest` is the largest difference. Of whole numbers, as ids are, `differing` is the share that aren't the
    same, and `relative` None: how far they are apart says nothing.
    """

    relative: float | None
    largest: float
    differing: float | None = None


@dataclass(frozen=True, kw_only=True)
class Source:
    """The file `model` that all variants come from, in floating point, and `samples` [N, ...] of its own shapes."""

    model: Path
    samples: Tensors


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a variant's file. `shares` are those of the multiply-accumulates by what they were computed in,
    without those of the layers that are `uncounted`, since nobody knows how many they have.

    `missed` are layers that were to be in integers and aren't, with the reason; `made` says which weren't to be, and
    whether batch-mates matter. `memory` is that of a process that runs it with so many `rows` at once, and `energy`
    that of an input then, of all that the processor did meanwhile. `speed_up`, `cause`, `why` where that is none, and
    `layers` are beside the same network in floating point by the same runtime; of that one itself there are `layers`
    alone. `likeness`, by output, is to that network by the usual runtime, and `waterfall` leads from the teacher's time
    to the variant's: by the network, the runtime, and then the layers. What has nothing to be beside has neither.
    """

    shares: Mapping[str, float]
    missed: Mapping[str, str]
    size: Size
    memory: Memory
    energy: Energy
    rows: int
    made: Made = field(default_factory=Made)
    speed_up: float | None = None
    cause: Cause | None = None
    why: str = ""
    layers: tuple[LayerRow, ...] = ()
    waterfall: Waterfall | None = None
    likeness: Mapping[str, Likeness] | None = None
    uncounted: tuple[str, ...] = ()

    def __str__(self) -> str:
        """What it was computed in, what was left in float, and what it takes by itself; why it isn't faster, if so."""
        shares = ", ".join(f"{share:.0%} {precision}" for precision, share in self.shares.items() if share >= 0.005)
        uncounted = f"; not counted: {', '.join(self.uncounted)}" if self.uncounted else ""
        made = f"; {self.made}" if str(self.made) else ""
        taken = f"; {self.cause or f'by itself, {self.rows} at once'}: {self.why}" if self.why else ""
        return f"multiplied in: {shares or 'nothing'}{uncounted}{made}{taken}"


def explain(
    journal: Journal[Any],
    design: Design,
    model: Path,
    original: Path,
    samples: Tensors,
    *,
    teacher: Source,
    rows: int,
    made: Made,
) -> Evidence:
    """What ran of the file `model` of a `design`, whose network in floating point is the file `original`.

    `samples` [N, ...] are inputs of the file, so many `rows` of which are computed at once, as are those of the
    `teacher`; answers that depend on others beside them are compared one by one.
    """
    step = step_of(design)
    shown = _first(samples, rows)

    def action(folder: Path) -> None:
        run = open_model(model, runtime=design.runtime)
        told = Evidence(
            **_ran(design, model, original, shown, replace(teacher, samples=_first(teacher.samples, rows))),
            size=size(model),
            memory=memory(model, shown, runtime=design.runtime),
            energy=_energy(run, shown, rows),
            rows=rows,
            likeness=None
            if is_usual(design)
            else _likeness(open_model(original), singly(run) if made.alone else run, samples),
            made=made,
        )
        put(folder / EVIDENCE, msgspec.json.format(msgspec.json.encode(told), indent=1))

    inputs = {
        "model": model,
        "original": original,
        "teacher": teacher.model,
        "runtime": str(design.runtime),
        "rows": rows,
        "machine": msgspec.to_builtins(machine()),
        "made": msgspec.to_builtins(made),
        **samples,
        **{f"teacher {name}": array for name, array in teacher.samples.items()},
    }
    code: tuple[ModuleType, ...] = (sys.modules[__name__], evidence, session)
    path = journal.path(step, EVIDENCE)
    journal.do(step, inputs, code, action, lambda: str(_read(path)))
    return _read(path)


def step_of(design: Design) -> str:
    """Under which name it is kept what ran of a variant."""
    return f"evidence-{design.name}"


def _read(path: Path) -> Evidence:
    return msgspec.json.decode(path.read_bytes(), type=Evidence)


def is_float(design: Design) -> bool:
    """Whether it is computed as the network in floating point is, beside which others are told."""
    return design.numbers == FLOAT and design.runtime.precision == ONNX_RUNTIME.precision


def is_usual(design: Design) -> bool:
    """Whether it is the network in floating point by the usual runtime, to whose answers others' are held."""
    return design == Design(network=design.network)


def _ran(design: Design, model: Path, original: Path, shown: Tensors, teacher: Source) -> dict[str, Any]:
    """What ran, what each layer took, and where the time went from the teacher on, unless it is that itself."""
    by = _by_openvino if design.runtime.backend == OPENVINO.backend else _by_onnx_runtime
    told = by(design, model, original, shown, teacher)
    return {**told, "waterfall": None} if design == Design() else told


def _by_onnx_runtime(design: Design, model: Path, original: Path, shown: Tensors, teacher: Source) -> dict[str, Any]:
    others = [] if design.network == Network() else [timed(teacher.model, teacher.samples)]
    if is_float(design):
        compared = alone(model, shown, ComparisonSettings(), others=others)
        reason, told, fall = Why(cause=None, text="", layers=()), {}, unchanged(compared.compressed_run)
    else:
        compared = side_by_side(original, model, shown, ComparisonSettings(), others=others)
        reason, fall = why(compared), waterfall(compared)
        told = {"speed_up": compared.speed_up, "cause": reason.cause, "why": reason.text}
    wholes = dict(zip(("teacher", "network"), (*compared.others, compared.float_run), strict=False))
    layers = tuple(layer_rows(compared, reason))
    return {**_shares(compared.execution), **told, "layers": layers, "waterfall": preceded(fall, wholes)}


def _by_openvino(design: Design, model: Path, original: Path, shown: Tensors, teacher: Source) -> dict[str, Any]:
    """The step of the runtime comes before those of layers, which are beside that network by the same runtime."""
    runs = {"teacher": timed(teacher.model, teacher.samples)}
    if design.network != Network():
        runs["network"] = timed(original, shown)
    runs["runtime"] = timed(original, shown, runtime=OPENVINO)
    last = [] if is_float(design) else [timed(model, shown, runtime=design.runtime)]
    times = time_runs([*runs.values(), *last], ComparisonSettings())
    wholes = dict(zip(runs, times, strict=False))
    if is_float(design):
        ran, layers = layers_of(model, shown)
        return {**_shares(ran), "layers": layers, "waterfall": preceded(unchanged(wholes["runtime"]), wholes)}
    found = layered(original, model, shown, precision=design.runtime.precision)
    told = {"speed_up": found.speed_up, "cause": found.cause, "why": found.why}
    fall = preceded(within(found.waterfall, wholes["runtime"], times[-1]), wholes)
    return {**_shares(found.execution), **told, "layers": found.rows, "waterfall": fall}


def _first(samples: Tensors, rows: int) -> Tensors:
    return {name: array[:rows] for name, array in samples.items()}


def _shares(ran: Execution) -> dict[str, Any]:
    shares = {str(precision): share for precision, share in ran.shares.items()}
    return {"shares": shares, "missed": dict(ran.missed), "uncounted": ran.uncounted}


def _likeness(original: Model, run: Model, samples: Tensors) -> dict[str, Likeness]:
    alike = parity(original, run, {name: array[:COMPARED_ON] for name, array in samples.items()})
    return {
        name: Likeness(
            relative=one.relative_error if one.differing is None and math.isfinite(one.relative_error) else None,
            largest=one.largest_error,
            differing=one.differing,
        )
        for name, one in alike.items()
    }


def _energy(run: Model, shown: Tensors, rows: int) -> Energy:
    """That of an input, and its seconds."""
    answered = 0

    def work() -> None:
        nonlocal answered
        end = time.monotonic() + ENERGY_SECONDS
        while time.monotonic() < end:
            run(shown)
            answered += rows

    used = energy(work)
    if used.joules is None:
        return used
    return replace(used, joules=used.joules / answered, seconds=used.seconds / answered)
