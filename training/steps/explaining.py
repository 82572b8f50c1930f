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
from training.compression.evidence.breakdown import LayerRow, Waterfall, layer_rows, waterfall
from training.compression.evidence.causes import Cause, why
from training.compression.evidence.energy import Energy, energy
from training.compression.evidence.execution import Execution, execution
from training.compression.evidence.footprint import Memory, Size, memory, size
from training.compression.evidence.mates import singly
from training.compression.evidence.openvino_execution import compiled
from training.compression.evidence.openvino_layers import layered
from training.compression.evidence.parity import Model, parity
from training.compression.evidence.side_by_side import ComparisonSettings, side_by_side
from training.compression.search.design import FLOAT, Design
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
    zero; `largest` is the largest difference.
    """

    relative: float | None
    largest: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a variant's file. `shares` are those of the multiply-accumulates by what they were computed in,
    without those of the layers that are `uncounted`, since nobody knows how many they have.

    `missed` are layers that were to be in integers and aren't, with the reason; `made` says which weren't to be, and
    whether batch-mates matter. `memory` is that of a process that runs it with so many `rows` at once, and `energy`
    that of an input then, of all that the processor did meanwhile. The rest is beside the same network in floating
    point by the same runtime, and isn't there for that one itself: `speed_up`, `cause` and `why` where that is none,
    `layers`, `waterfall` and `likeness` by output.
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
    journal: Journal[Any], design: Design, model: Path, original: Path, samples: Tensors, *, rows: int, made: Made
) -> Evidence:
    """What ran of the file `model` of a `design`, whose network in floating point is the file `original`.

    `samples` [N, ...] are inputs of the file, so many `rows` of which are computed at once; answers that depend on
    others beside them are compared one by one.
    """
    step = step_of(design)
    shown = {name: array[:rows] for name, array in samples.items()}

    def action(folder: Path) -> None:
        run = open_model(model, runtime=design.runtime)
        told = Evidence(
            **_ran(design, model, original, shown),
            size=size(model),
            memory=memory(model, shown, runtime=design.runtime),
            energy=_energy(run, shown, rows),
            rows=rows,
            likeness=None
            if is_float(design)
            else _likeness(open_model(original), singly(run) if made.alone else run, samples),
            made=made,
        )
        put(folder / EVIDENCE, msgspec.json.format(msgspec.json.encode(told), indent=1))

    inputs = {
        "model": model,
        "original": original,
        "runtime": str(design.runtime),
        "rows": rows,
        "machine": msgspec.to_builtins(machine()),
        "made": msgspec.to_builtins(made),
        **samples,
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


def _ran(design: Design, model: Path, original: Path, shown: Tensors) -> dict[str, Any]:
    """What ran, and, unless it is in floating point itself, what each layer took beside that."""
    openvino, precision = design.runtime.backend == OPENVINO.backend, design.runtime.precision
    if is_float(design):
        return _shares(compiled(model, shown).execution if openvino else execution(model, shown))
    if openvino:
        found = layered(original, model, shown, precision=precision)
        told = {"speed_up": found.speed_up, "cause": found.cause, "why": found.why}
        return {**_shares(found.execution), **told, "layers": found.rows, "waterfall": found.waterfall}
    compared = side_by_side(original, model, shown, ComparisonSettings())
    reason = why(compared)
    told = {"speed_up": compared.speed_up, "cause": reason.cause, "why": reason.text}
    layers = tuple(layer_rows(compared, reason))
    return {**_shares(compared.execution), **told, "layers": layers, "waterfall": waterfall(compared)}


def _shares(ran: Execution) -> dict[str, Any]:
    shares = {str(precision): share for precision, share in ran.shares.items()}
    return {"shares": shares, "missed": dict(ran.missed), "uncounted": ran.uncounted}


def _likeness(original: Model, run: Model, samples: Tensors) -> dict[str, Likeness]:
    alike = parity(original, run, {name: array[:COMPARED_ON] for name, array in samples.items()})
    return {
        name: Likeness(
            relative=one.relative_error if math.isfinite(one.relative_error) else None, largest=one.largest_error
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
