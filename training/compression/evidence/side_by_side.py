"""A float model and what was made of it, node by node: both take turns on the same core, and layers are told apart.

Only what survives repetition counts. A layer is called slower where it was in nearly all of the rounds, in which both
models ran one after the other.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from training.compression.evidence.execution import Execution, executed
from training.compression.evidence.node import Node, Seconds
from training.compression.evidence.origins import ADDED, Origins, tensors
from training.compression.evidence.profile import Profile, Profiled
from training.runtime import ONNX_RUNTIME, Runtime
from training.session import Tensors, open_model

Timed = Callable[[], object]
"""Runs a model once, on inputs that it knows."""

WARM_UP = 2
BURSTS = 5
"""Turns of a model within a round: whatever else the machine does by then should meet both."""

NEARLY_ALL = 0.9
"""The share of rounds that have to say the same: of ten fair coins, nine fall alike in 2 % of cases."""


@dataclass(frozen=True, kw_only=True)
class ComparisonSettings:
    """`rounds` in which both models have their turns, each of about `seconds`, but of `most` runs at most."""

    rounds: int = 10
    seconds: float = 0.1
    most: int = 40

    def __post_init__(self) -> None:
        if min(self.rounds, self.most) < 1 or self.seconds < 0:
            raise ValueError("rounds, most, seconds: at least one round of one run, and no negative time")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of the float model, in seconds [rounds] of a run.

    `float_time` is that of its kernels there, `kernel_time` that of its kernels in the compressed model, and
    `conversion_time` what it takes there to bring tensors into another form for it. `float_nodes` and
    `kernels` are the nodes which ran; `macs` of the float model, and `moved`, the bytes that go in and out of the
    float kernels.
    """

    name: str
    operator: str
    macs: int
    moved: int
    float_nodes: tuple[Node, ...]
    kernels: tuple[Node, ...]
    conversions: tuple[Node, ...]
    float_time: Seconds
    kernel_time: Seconds
    conversion_time: Seconds

    @property
    def saved(self) -> Seconds:
        """What compression saves of it in each round, less than nothing where it costs."""
        return self.float_time - self.kernel_time - self.conversion_time

    @property
    def changed(self) -> bool:
        """True where something else runs than in the float model."""
        return bool(self.conversions) or _kinds(self.kernels) != _kinds(self.float_nodes)

    @property
    def slower(self) -> bool:
        """True where the layer was changed, and took longer in nearly all rounds."""
        return self.changed and bool((self.saved < 0).mean() >= NEARLY_ALL)

    @property
    def in_integers(self) -> bool:
        """True where a kernel that multiplies did so in integers."""
        return any(node.multiplies and node.precision == "integer" for node in self.kernels)


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """Both models on the same inputs.

    `float_run` and `compressed_run` are seconds of a run [rounds] without the profiler, and the layers from other runs
    with it, which takes a microsecond or two for each node. `others` is the same of what else took turns with both.
    """

    layers: tuple[Layer, ...]
    execution: Execution
    float_run: Seconds
    compressed_run: Seconds
    others: tuple[Seconds, ...] = ()

    @property
    def speed_up(self) -> float:
        """How many times faster the compressed model is: the median of the rounds' ratios."""
        return float(np.median(self.float_run / self.compressed_run))

    @property
    def slower(self) -> bool:
        """True where the compressed model took longer in nearly all rounds."""
        return bool((self.compressed_run > self.float_run).mean() >= NEARLY_ALL)

    @property
    def call(self) -> float:
        """Seconds that the shortest node of both took: less than this no kernel can take, whatever it computes."""
        nodes = (node for layer in self.layers for node in (*layer.float_nodes, *layer.kernels))
        return min(float(np.median(node.seconds)) for node in nodes)


def side_by_side(
    original: Path,
    compressed: Path,
    inputs: Tensors,
    settings: ComparisonSettings,
    *,
    threads: int = 1,
    others: Sequence[Timed] = (),
) -> SideBySide:
    """Time the float file `original` and the file `compressed` that was made of it on `inputs` [N, ...].

    Without the profiler `others` take turns with both. Raises ArtifactError if one of them can't be loaded or run.
    """
    with Profiled(original, threads=threads) as first, Profiled(compressed, threads=threads) as second:
        models = (first, second)
        for model in models:
            for _ in range(WARM_UP):
                model.run(inputs)
        both = (timed(one, inputs, threads=threads) for one in (original, compressed))
        times = time_runs((*both, *others), settings, threads=threads)
        counts = [_runs(float(np.median(one)), settings) for one in times[:2]]
        for index in _turns(counts, settings.rounds):
            models[index].run(inputs)
        profiles = [model.finish(warm_up=WARM_UP) for model in models]
    source = onnx.load(original, load_external_data=False)
    before, after = (_by_round(one, settings.rounds) for one in profiles)
    return SideBySide(
        layers=tuple(_layers(Origins(source), before, after, settings.rounds)),
        execution=executed(after, onnx.load(compressed, load_external_data=False)),
        float_run=times[0],
        compressed_run=times[1],
        others=tuple(times[2:]),
    )


def alone(model: Path, inputs: Tensors, settings: ComparisonSettings, *, others: Sequence[Timed] = ()) -> SideBySide:
    """The same of a float file beside itself, of which each figure is taken once: nothing is saved, or lost."""
    run, *rest = time_runs((timed(model, inputs), *others), settings)
    count = _runs(float(np.median(run)), settings)
    with Profiled(model) as profiled:
        for _ in range(WARM_UP + settings.rounds * count):
            profiled.run(inputs)
        found = _by_round(profiled.finish(warm_up=WARM_UP), settings.rounds)
    source = onnx.load(model, load_external_data=False)
    return SideBySide(
        layers=tuple(_layers(Origins(source), found, found, settings.rounds)),
        execution=executed(found, source),
        float_run=run,
        compressed_run=run,
        others=tuple(rest),
    )


def timed(model: Path, inputs: Tensors, *, threads: int = 1, runtime: Runtime = ONNX_RUNTIME) -> Timed:
    """A run of the file `model` on `inputs` [N, ...], as `time_runs` takes it."""
    return partial(open_model(model, threads=threads, runtime=runtime), inputs)


def time_runs(runs: Sequence[Timed], settings: ComparisonSettings, *, threads: int = 1) -> list[Seconds]:
    """Seconds of each of the `runs` [rounds], all of them in turns, without a profiler.

    With one thread a run is computed by the thread that asks for it, and only its time on a core counts: others on the
    machine don't.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    counts = []
    for run in runs:
        for _ in range(WARM_UP):
            run()
        begun = clock()
        run()
        counts.append(_runs(clock() - begun, settings))
    durations: list[list[float]] = [[] for _ in runs]
    for index in _turns(counts, settings.rounds):
        begun = clock()
        runs[index]()
        durations[index].append(clock() - begun)
    return [_fast(np.array(some).reshape(settings.rounds, -1)) for some in durations]


def _turns(counts: Sequence[int], rounds: int) -> Iterator[int]:
    """Which model is run, one after the other: in every round each has its count, in bursts that take turns."""
    for number in range(rounds * BURSTS):
        burst = number % BURSTS
        order = range(len(counts)) if number % 2 == 0 else reversed(range(len(counts)))
        for index in order:
            runs = counts[index] * (burst + 1) // BURSTS - counts[index] * burst // BURSTS
            yield from (index for _ in range(runs))


def _runs(seconds: float, settings: ComparisonSettings) -> int:
    return int(np.clip(settings.seconds / max(seconds, 1e-9), 1, settings.most))


def _fast(seconds: Seconds) -> Seconds:
    """The mean of the faster half of the last axis: what else runs on the machine can only lengthen a run.

    No median, which is coarse: the profiler tells whole microseconds.
    """
    half = -(-seconds.shape[-1] // 2)
    fast: Seconds = np.sort(seconds, axis=-1)[..., :half].mean(axis=-1)
    return fast


def _by_round(profile: Profile, rounds: int) -> Profile:
    """The same with seconds [rounds] instead of [runs]."""
    return Profile(nodes=tuple(replace(one, seconds=_fast(one.seconds.reshape(rounds, -1))) for one in profile.nodes))


def _kinds(nodes: Sequence[Node]) -> set[tuple[str, str, str]]:
    return {(node.domain, node.operator, node.precision) for node in nodes}


def _layers(origins: Origins, original: Profile, compressed: Profile, rounds: int) -> list[Layer]:
    """All layers of the float model in their order, and what the compressed one has besides behind them."""
    first, second = _grouped(origins, original), _grouped(origins, compressed)
    none = np.zeros(rounds)
    found = []
    for name in dict.fromkeys((*first, *second)):
        before, after = first.get(name, []), second.get(name, [])
        conversions = [node for node in after if _converts(node, origins)]
        kernels = [node for node in after if not _converts(node, origins)]
        found.append(
            Layer(
                name=name,
                operator=origins.operators.get(name, next(iter((*before, *after))).operator),
                macs=sum(node.macs or 0 for node in before),
                moved=sum(node.moved for node in before),
                float_nodes=tuple(before),
                kernels=tuple(kernels),
                conversions=tuple(conversions),
                float_time=sum((node.seconds for node in before), none),
                kernel_time=sum((node.seconds for node in kernels), none),
                conversion_time=sum((node.seconds for node in conversions), none),
            )
        )
    return found


def _grouped(origins: Origins, profile: Profile) -> Mapping[str, list[Node]]:
    """Nodes by the layer that they are of; what was added goes to the layer that it was added for."""
    makers, takers = tensors(profile.nodes)
    found: dict[str, list[Node]] = defaultdict(list)
    for node in profile.nodes:
        name = origins.find(node)
        if name is None and _converts(node, origins):
            name = _served(node, origins, makers, takers)
        found[name or node.name].append(node)
    return found


def _converts(node: Node, origins: Origins) -> bool:
    """True for a node that only brings a tensor into another form, and that the file didn't have."""
    return node.operator in ADDED or (node.operator in ("Cast", "Transpose") and origins.find(node) is None)


def _served(node: Node, origins: Origins, makers: Mapping[str, Node], takers: Mapping[str, list[Node]]) -> str | None:
    """The layer that a conversion is for: what it leads to, or what it comes from where it makes floats again."""

    def beyond(one: Node, *, forwards: bool) -> Node | None:
        seen, ahead = {one.name}, [one]
        while ahead:
            names = [name for each in ahead for name in (each.outputs if forwards else each.inputs)]
            ahead = [
                each
                for name in names
                for each in (takers.get(name, []) if forwards else filter(None, [makers.get(name)]))
                if each.name not in seen
            ]
            seen.update(each.name for each in ahead)
            if (found := next((each for each in ahead if each.multiplies), None)) is not None:
                return found
        return None

    backwards_first = node.operator in ("DequantizeLinear", "ReorderOutput")
    for forwards in (not backwards_first, backwards_first):
        if (found := beyond(node, forwards=forwards)) is not None:
            return origins.find(found)
    return None
