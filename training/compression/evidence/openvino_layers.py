"""What OpenVINO takes for each layer of a file beside the same network in floating point, by the same runtime.

It tells the mean of whole microseconds of all runs, so both are opened again and again, and each node's least is what
counts: what else the machine does can only lengthen it. What is below a microsecond or two says nothing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from training.compression.evidence.breakdown import LayerRow, Step, Waterfall
from training.compression.evidence.causes import NOTICEABLE, Cause
from training.compression.evidence.execution import Execution
from training.compression.evidence.node import Precision
from training.compression.evidence.openvino_execution import Compiled, CompiledNode, compiled
from training.compression.evidence.origins import Origins
from training.session import Tensors

ROUNDS, RUNS = 7, 10
LEAST_US = 2.0
"""A layer that takes longer by less isn't called slower."""
CONVERSIONS = frozenset({"Convert", "FakeQuantize", "Reorder"})
NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Layered:
    """What ran, how many times as fast all nodes together are as in float, and by layer; `cause`, `why`: see `Why`."""

    execution: Execution
    speed_up: float
    rows: tuple[LayerRow, ...]
    waterfall: Waterfall
    cause: Cause | None
    why: str


def layered(original: Path, model: Path, inputs: Tensors, *, precision: str = "f32") -> Layered:
    """The file `model`, computed in `precision`, beside the file `original` in floating point, on `inputs` [N, ...]."""
    runs = [
        (compiled(original, inputs, runs=RUNS), compiled(model, inputs, precision=precision, runs=RUNS))
        for _ in range(ROUNDS)
    ]
    before, after = (_least(some) for some in zip(*runs, strict=True))
    return beside(Origins(onnx.load(original, load_external_data=False)), before, after, runs[0][1].execution)


def layers_of(model: Path, inputs: Tensors) -> tuple[Execution, tuple[LayerRow, ...]]:
    """What ran of a file in floating point, and what each layer took, beside which there is nothing."""
    runs = [compiled(model, inputs, runs=RUNS) for _ in range(ROUNDS)]
    nodes, execution = _least(runs), runs[0].execution
    return execution, beside(Origins(onnx.load(model, load_external_data=False)), nodes, nodes, execution).rows


def beside(
    origins: Origins, floats: Sequence[CompiledNode], nodes: Sequence[CompiledNode], execution: Execution
) -> Layered:
    """The same of `nodes` that ran, whose `execution` is known, and those of the original in floating point."""
    before, after = _grouped(floats, origins), _grouped(nodes, origins)
    macs = sum(node.macs for nodes in before.values() for node in nodes)
    rows = tuple(
        _row(name, origins, before.get(name, []), after.get(name, []), macs=macs, execution=execution)
        for name in dict.fromkeys((*before, *after))
    )
    fall = _waterfall(rows)
    speed_up = fall.float_us / fall.compressed_us if fall.compressed_us else 1.0
    cause, why = _why(rows, fall, speed_up)
    return Layered(execution=execution, speed_up=speed_up, rows=rows, waterfall=fall, cause=cause, why=why)


def _least(runs: Sequence[Compiled]) -> list[CompiledNode]:
    """The nodes of a file, each with its least seconds."""
    found: dict[str, CompiledNode] = {}
    for node in (node for one in runs for node in one.nodes):
        known = found.setdefault(node.name, node)
        found[node.name] = min(known, node, key=lambda one: one.seconds)
    return list(found.values())


def _grouped(nodes: Sequence[CompiledNode], origins: Origins) -> Mapping[str, list[CompiledNode]]:
    """Nodes by the layer of the original that they are of, or else by what the runtime calls them."""
    found: dict[str, list[CompiledNode]] = defaultdict(list)
    for node in nodes:
        layers = (origins.named(name) for name in node.layers)
        found[next((one for one in layers if one), node.operator)].append(node)
    return found


def _row(
    name: str,
    origins: Origins,
    before: Sequence[CompiledNode],
    after: Sequence[CompiledNode],
    *,
    macs: int,
    execution: Execution,
) -> LayerRow:
    converting = [node for node in after if node.operator in CONVERSIONS]
    kernels = [node for node in after if node.operator not in CONVERSIONS]
    main = next((node for node in kernels if node.macs), kernels[0] if kernels else None)
    float_us, kernel_us, conversions_us = (_us(some) for some in (before, kernels, converting))
    own = sum(node.macs for node in before)
    saved = float_us - kernel_us - conversions_us
    cause, text = None, None
    if own and saved < -LEAST_US and float_us < (kernel_us + conversions_us) / NOTICEABLE:
        cause, text = _cause(main, conversions_us, float_us - kernel_us, execution)
    return LayerRow(
        name=name,
        operator=origins.operators.get(name, (before or after)[0].operator),
        precision=main.precision if main else None,
        kernel=" + ".join(f"{node.operator} ({node.kernel})" for node in kernels),
        macs=own,
        share=own / macs if macs else 0.0,
        float_us=float_us,
        kernel_us=kernel_us,
        conversions_us=conversions_us,
        saved_us=saved,
        cause=cause,
        text=text,
    )


def _cause(
    main: CompiledNode | None, conversions_us: float, saved_us: float, execution: Execution
) -> tuple[Cause, str | None]:
    missed = next((execution.missed[name] for name in (main.layers if main else ()) if name in execution.missed), None)
    if missed:
        return "no integer kernel", missed
    if conversions_us > max(saved_us, 0.0):
        return "conversions", f"conversions around it take {conversions_us:.1f} us"
    return "slower kernel", f"{main.kernel} takes {-saved_us:.1f} us longer" if main else None


def _waterfall(rows: Sequence[LayerRow]) -> Waterfall:
    """Times are of nodes, so that nothing is left over."""
    layers = [row for row in rows if row.macs]
    floats: tuple[Precision | None, ...] = ("float", None)

    def gained(some: Sequence[LayerRow]) -> float:
        return sum(row.kernel_us - row.float_us for row in some)

    steps = {
        "layers in fewer bits": gained([row for row in layers if row.precision not in floats]),
        "layers in floats": gained([row for row in layers if row.precision in floats]),
        "conversions": sum(row.conversions_us for row in rows),
        "other operators": gained([row for row in rows if not row.macs]),
    }
    before = sum(row.float_us for row in rows)
    return Waterfall(
        float_us=before,
        steps=tuple(Step(name=name, us=us) for name, us in steps.items()),
        compressed_us=before + sum(steps.values()),
    )


def _why(rows: Sequence[LayerRow], fall: Waterfall, speed_up: float) -> tuple[Cause | None, str]:
    told = (
        f"{fall.compressed_us:.1f} us a run of its nodes against {fall.float_us:.1f} us: {speed_up:.2f} times as fast"
    )
    if speed_up >= NOTICEABLE:
        return None, told
    slower = [row for row in rows if row.cause]
    others = [row for row in rows if not row.macs and row.kernel_us > row.float_us]
    converting = sum(row.conversions_us for row in rows)
    in_layers, in_others = (-sum(row.saved_us for row in some) for some in (slower, others))
    if max(converting, in_layers, in_others) < LEAST_US:
        return None, f"{told}; no layer is slower"
    if converting > max(in_layers, in_others):
        return "conversions", f"{told}; conversions take {converting:.1f} us of it"
    if in_others > in_layers:
        names = ", ".join(row.name for row in sorted(others, key=lambda row: row.saved_us)[:NAMED])
        return (
            "another float kernel",
            f"{told}; {in_others:.1f} us are lost in what multiplies nothing, most in {names}",
        )
    worst = min(slower, key=lambda row: row.saved_us)
    return worst.cause, f"{told}; most is lost in {worst.name}: {worst.text}"


def _us(nodes: Sequence[CompiledNode]) -> float:
    return sum(node.seconds for node in nodes) * 1e6
