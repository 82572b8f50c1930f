"""Where a speed-up comes from: a table of layers, and the steps from the float model's time to the compressed one's.

What can't be told by layers is a step as a whole: another network has other layers, and another runtime other kernels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from training.compression.evidence.causes import Cause, Why
from training.compression.evidence.node import Node, Precision, Seconds
from training.compression.evidence.side_by_side import Layer, SideBySide


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """A layer as a page shows it; times are microseconds of a run, and `share` is that of the multiply-accumulates.

    `precision` and `kernel` are those in the compressed model, empty where nothing of the layer is left there; `macs`
    those of the float one, beside itself if there is no other. `cause` and `text` say why it is slower, and are None
    where it isn't.
    """

    name: str
    operator: str
    precision: Precision | None
    kernel: str
    macs: int
    share: float
    float_us: float
    kernel_us: float
    conversions_us: float
    saved_us: float
    cause: Cause | None
    text: str | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of the waterfall, in microseconds of a run: what it saves (below zero) or costs."""

    name: str
    us: float


@dataclass(frozen=True, kw_only=True)
class Waterfall:
    """From `float_us` by the `steps` to `compressed_us`: they add up.

    Steps of layers are what nodes took beyond the call of a kernel. The last one is the rest: how many calls there are,
    what the runtime does between them, and by how much the profiler's times are off.
    """

    float_us: float
    steps: tuple[Step, ...]
    compressed_us: float


def layer_rows(compared: SideBySide, causes: Why) -> list[LayerRow]:
    """All layers that took time in either model, in their order."""
    explained = {one.layer: one for one in causes.layers}
    macs = sum(layer.macs for layer in compared.layers)
    found = []
    for layer in compared.layers:
        why = explained.get(layer.name)
        main = _main(layer.kernels)
        found.append(
            LayerRow(
                name=layer.name,
                operator=layer.operator,
                precision=main.precision if main else None,
                kernel=" + ".join(node.operator for node in layer.kernels),
                macs=layer.macs,
                share=layer.macs / macs if macs else 0.0,
                float_us=_us(layer.float_time),
                kernel_us=_us(layer.kernel_time),
                conversions_us=_us(layer.conversion_time),
                saved_us=_us(layer.saved),
                cause=why.cause if why else None,
                text=why.text if why else None,
            )
        )
    return found


def waterfall(compared: SideBySide) -> Waterfall:
    """What integers saved, what conversions cost, what else there is."""
    call = compared.call

    def gained(layers: Sequence[Layer]) -> float:
        return sum(_work(layer.kernels, call) - _work(layer.float_nodes, call) for layer in layers)

    multiplying = [one for one in compared.layers if any(node.multiplies for node in (*one.float_nodes, *one.kernels))]
    before, after = (float(np.median(one)) for one in (compared.float_run, compared.compressed_run))
    steps = {
        "layers in integers": gained([layer for layer in multiplying if layer.in_integers]),
        "layers in floats": gained([layer for layer in multiplying if not layer.in_integers]),
        "conversions": sum(_work(layer.conversions, call) for layer in compared.layers),
        "other operators": gained([layer for layer in compared.layers if layer not in multiplying]),
    }
    steps["rest"] = after - before - sum(steps.values())
    return Waterfall(
        float_us=before * 1e6,
        steps=tuple(Step(name=name, us=seconds * 1e6) for name, seconds in steps.items()),
        compressed_us=after * 1e6,
    )


def within(fall: Waterfall, before: Seconds, after: Seconds) -> Waterfall:
    """The same steps between whole times, of which more is left over."""
    first, last = _us(before), _us(after)
    rest = Step(name="rest", us=last - first - sum(step.us for step in fall.steps))
    return Waterfall(float_us=first, steps=(*fall.steps, rest), compressed_us=last)


def unchanged(run: Seconds) -> Waterfall:
    """No steps at all."""
    return Waterfall(float_us=_us(run), steps=(), compressed_us=_us(run))


def preceded(fall: Waterfall, wholes: Mapping[str, Seconds]) -> Waterfall:
    """The same from the first of the `wholes` on, by a step to each of the others, which is called as that is.

    The last one is what `fall` begins with.
    """
    us = {name: _us(seconds) for name, seconds in wholes.items()}
    steps = (Step(name=after, us=us[after] - us[before]) for before, after in pairwise(us))
    return replace(fall, float_us=next(iter(us.values())), steps=(*steps, *fall.steps))


def _work(nodes: Sequence[Node], call: float) -> float:
    """Seconds of nodes beyond those of their `call`."""
    return sum(float(np.median(node.seconds)) - call for node in nodes)


def _main(nodes: Sequence[Node]) -> Node | None:
    """The node that multiplies, or else the first."""
    return next((node for node in nodes if node.multiplies), nodes[0] if nodes else None)


def _us(seconds: Seconds) -> float:
    return float(np.median(seconds)) * 1e6
