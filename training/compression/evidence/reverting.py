"""Quantized nodes that cost more than they save: found by their times, and left in float where that is faster."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from training.compression.evidence.origins import Origins
from training.compression.evidence.profile import DYNAMIC
from training.compression.evidence.side_by_side import (
    NEARLY_ALL,
    ComparisonSettings,
    Layer,
    SideBySide,
    side_by_side,
    time_runs,
    timed,
)
from training.session import Tensors

Quantize = Callable[[frozenset[str]], Path]
"""Quantizes the float model, but for nodes of these names, into a file of its own."""


GAIN = 1.02
"""How many times as fast a trial has to be: two sessions of one file differ by a little in nearly all rounds, too."""


@dataclass(frozen=True, kw_only=True)
class RevertSettings:
    """At most so many `trials`, each a quantization and a measurement."""

    trials: int = 4
    comparison: ComparisonSettings = field(default_factory=ComparisonSettings)

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError("trials: must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Costly:
    """A quantized layer that costs more than it saves: the `nodes` of the float model that it is, for `keep_float`.

    `saving` is what a run is expected to save, in seconds, conversions counted that come instead.
    """

    layer: str
    nodes: frozenset[str]
    saving: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was left in float, and how many times faster than the best before that was; `kept` if nearly always."""

    keep_float: frozenset[str]
    speed_up: float
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Reverted:
    """The fastest that was found: its file, what is in float there, and how it compares with the float model."""

    model: Path
    keep_float: frozenset[str]
    trials: tuple[Trial, ...]
    compared: SideBySide


def costly(compared: SideBySide, original: onnx.ModelProto) -> list[Costly]:
    """Layers of the float model `original` that are expected to be faster in float, the costliest first."""
    origins, slower = Origins(original), {layer.name for layer in compared.layers if layer.slower}
    makers = {name: layer.name for layer in compared.layers for node in layer.kernels for name in node.outputs}
    takers = [(name, layer.name) for layer in compared.layers for node in layer.kernels for name in node.inputs]
    found = []
    for layer in compared.layers:
        asked = layer.name in compared.execution.missed or any(node.precision == "integer" for node in layer.kernels)
        if not (layer.slower and asked and layer.name in origins.layers):
            continue
        answers = {name for node in layer.kernels for name in node.outputs}
        beside = {
            "QuantizeLinear": {makers.get(node.inputs[0], "") for node in layer.kernels[:1]},
            "DequantizeLinear": {of for name, of in takers if name in answers},
        }
        own = {node.operator for node in layer.conversions}
        missing = [kind for kind, names in beside.items() if kind not in own and names - slower - {layer.name}]
        saving = -float(np.median(layer.saved)) - _conversions(layer, compared, len(missing))
        if saving > 0:
            nodes = frozenset(name for name, of in origins.layers.items() if of == layer.name)
            found.append(Costly(layer=layer.name, nodes=nodes, saving=saving))
    return sorted(found, key=lambda one: -one.saving)


def revert(
    original: Path, quantize: Quantize, inputs: Tensors, settings: RevertSettings, *, threads: int = 1
) -> Reverted:
    """Quantize the float file `original`, and again with what costs more than it saves left in float.

    What seems costly is left out at once; if that isn't faster, the costlier half of it, and so on. A trial is kept
    where it was faster than the best before in nearly all rounds and by `GAIN`, and then what is costly is looked for
    anew.
    """
    source = onnx.load(original, load_external_data=False)
    keep, model = frozenset[str](), quantize(frozenset())
    compared = side_by_side(original, model, inputs, settings.comparison, threads=threads)
    proposed, trials = costly(compared, source), list[Trial]()
    while proposed and len(trials) < settings.trials:
        wanted = keep.union(*(one.nodes for one in proposed))
        candidate = quantize(wanted)
        runs = [timed(one, inputs, threads=threads) for one in (model, candidate)]
        before, after = time_runs(runs, settings.comparison, threads=threads)
        speed_up = float(np.median(before / after))
        kept = speed_up >= GAIN and bool((after < before).mean() >= NEARLY_ALL)
        trials.append(Trial(keep_float=wanted, speed_up=speed_up, kept=kept))
        if kept:
            keep, model = wanted, candidate
            compared = side_by_side(original, model, inputs, settings.comparison, threads=threads)
            proposed = costly(compared, source)
        else:
            proposed = proposed[: len(proposed) // 2]
    return Reverted(model=model, keep_float=keep, trials=tuple(trials), compared=compared)


def _conversions(layer: Layer, compared: SideBySide, missing: int) -> float:
    """Seconds of the conversions that come instead where what is beside the layer stays in integers.

    By what conversions of this run take a byte; one that is next to the layer already would only move.
    """
    if any(node.operator in DYNAMIC for node in layer.kernels):
        return 0.0
    nodes = [node for each in compared.layers for node in each.conversions]
    moved = sum(node.moved for node in nodes)
    rate = sum(float(np.median(node.seconds)) for node in nodes) / moved if moved else 0.0
    return missing * (compared.call + rate * max(node.moved for node in layer.kernels))
