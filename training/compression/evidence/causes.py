"""Why a compressed layer, or the whole model, isn't faster: one cause each, with the run's figures that show it."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.compression.evidence.execution import WITH_INTEGER_KERNELS
from training.compression.evidence.node import Node
from training.compression.evidence.side_by_side import Layer, SideBySide

Cause = Literal[
    "not fused",
    "no integer kernel",
    "too small",
    "conversions",
    "memory-bound",
    "slower kernel",
    "another float kernel",
]
"""not fused: integers were asked for, and the runtime computes floats between conversions
no integer kernel: the runtime can't compute the operator in integers
too small: at least half of the float kernel's time is that of calling any kernel
conversions: what brings tensors into form for the integer kernel costs more than the kernel saves, or loses itself
memory-bound: copying what the float kernel reads and writes takes at least half of its time, so that arithmetic is
little of it
slower kernel: none of these; what runs now takes longer than what ran before
another float kernel: left in float, but what is around it keeps the runtime from its fastest kernel"""

COPIES = 20
NOTICEABLE = 1.05
"""A model that is faster by less than this isn't called faster."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Why a layer lost so many `seconds` a run by compression."""

    layer: str
    operator: str
    cause: Cause
    seconds: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Why:
    """`cause` is the main one of a model that isn't faster, told by `text`; None of one that is.

    The `layers` are those that became slower, whatever became of the whole, the costliest first.
    """

    cause: Cause | None
    text: str
    layers: tuple[Explanation, ...]


def why(compared: SideBySide) -> Why:
    """The causes of what `side_by_side` found."""
    slower = [explain(layer, compared) for layer in compared.layers if layer.slower]
    slower.sort(key=lambda one: -one.seconds)
    before, after = (float(np.median(one)) for one in (compared.float_run, compared.compressed_run))
    told = f"{_us(after)} a run against {_us(before)}: {compared.speed_up:.2f} times as fast"
    if compared.speed_up >= NOTICEABLE:
        return Why(cause=None, text=told, layers=tuple(slower))
    cause, reason = _main(compared, slower)
    return Why(cause=cause, text=f"{told}; {reason}", layers=tuple(slower))


def explain(layer: Layer, compared: SideBySide) -> Explanation:
    """Why `layer` takes longer than in the float model."""
    cause, text = _cause(layer, compared)
    lost = -float(np.median(layer.saved))
    return Explanation(layer=layer.name, operator=layer.operator, cause=cause, seconds=lost, text=text)


def _main(compared: SideBySide, slower: Sequence[Explanation]) -> tuple[Cause | None, str]:
    """What most of the time is due to: floats where integers can't help, else what costs most."""
    layers = [layer for layer in compared.layers if any(node.multiplies for node in layer.float_nodes)]
    total = sum(float(np.median(layer.float_time)) for layer in layers)
    floats = [layer for layer in layers if not layer.in_integers]
    share = sum(float(np.median(layer.float_time)) for layer in floats) / total if total else 0.0
    without = sorted({layer.operator for layer in floats if layer.operator not in WITH_INTEGER_KERNELS})
    if share >= 0.5 and without:
        names = ", ".join(without)
        return "no integer kernel", f"{share:.0%} of the layers' time is in floats: no integer kernel for {names}"
    lost: dict[Cause, float] = defaultdict(float)
    for one in slower:
        lost[one.cause] += one.seconds
    if not lost:
        return None, "no layer is slower in nearly all rounds"
    cause, seconds = max(lost.items(), key=lambda item: item[1])
    names = ", ".join(one.layer for one in slower if one.cause == cause)
    return cause, f"{_us(seconds)} of {_us(sum(lost.values()))} lost in layers: {cause} ({names})"


def _cause(layer: Layer, compared: SideBySide) -> tuple[Cause, str]:
    before, kernel, conversions = (
        float(np.median(one)) for one in (layer.float_time, layer.kernel_time, layer.conversion_time)
    )
    now, then = _operators(layer.kernels), _operators(layer.float_nodes)
    figures = f"{now} takes {_us(kernel)}, in the float model {then} takes {_us(before)}"
    around = f"conversions around it {_us(conversions)}" if conversions else "no conversions around it"
    if not layer.in_integers and any(node.multiplies for node in layer.kernels):
        if (reason := compared.execution.missed.get(layer.name)) is not None:
            known = layer.operator in WITH_INTEGER_KERNELS
            return "not fused" if known else "no integer kernel", f"{reason}; {figures}, {around}"
        if {(node.operator, node.domain) for node in layer.kernels if node.multiplies} != {
            (node.operator, node.domain) for node in layer.float_nodes if node.multiplies
        }:
            return "another float kernel", f"{figures}, {around}"
    if before < 2 * compared.call:
        return "too small", f"{figures}, {around}; a call of any kernel takes {_us(compared.call)} of it"
    if conversions > kernel - before:
        return "conversions", f"{figures}, {around}"
    copied = copy_seconds(layer.moved)
    if copied >= before / 2:
        return "memory-bound", f"{figures}, {around}; copying the {layer.moved} bytes it moves takes {_us(copied)}"
    return "slower kernel", f"{figures}, {around}"


def copy_seconds(size: int) -> float:
    """Seconds in which this core reads and writes `size` bytes in all, half of them each: the median of some."""
    source = np.ones(max(size // 2, 1), np.uint8)
    target = np.empty_like(source)
    durations = []
    for _ in range(COPIES):
        begun = time.perf_counter()
        np.copyto(target, source)
        durations.append(time.perf_counter() - begun)
    return float(np.median(durations))


def _operators(nodes: Sequence[Node]) -> str:
    return " + ".join(f"{node.domain}.{node.operator}".lstrip(".") for node in nodes) or "nothing"


def _us(seconds: float) -> str:
    return f"{seconds * 1e6:.1f} us"
