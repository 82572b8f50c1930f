"""The steps that give a network other numbers: which methods its graph has something for, and the file of each."""

import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from service.errors import ArtifactError
from training import graph, session
from training.compression import evidence, quantization
from training.compression.evidence.mates import influence
from training.compression.evidence.reverting import RevertSettings, revert
from training.compression.quantization.aware_training import with_learnt
from training.compression.quantization.calibration import Ranges, calibrate
from training.compression.quantization.dynamic import dynamic
from training.compression.quantization.half import half
from training.compression.quantization.preparation import prepare
from training.compression.quantization.quantized import Quantized
from training.compression.quantization.sensitivity import sensitivities
from training.compression.quantization.settings import CalibrationSettings, WeightOnlySettings
from training.compression.quantization.static import static
from training.compression.quantization.weight_only import weight_only
from training.compression.quantization.weight_range import reduced_range
from training.compression.search import made as making
from training.compression.search import numbers as naming
from training.compression.search.design import Design
from training.compression.search.made import Made
from training.compression.search.numbers import HALF, Numbers
from training.durable import put
from training.errors import one_line
from training.machine import machine
from training.rehearsal import check_survived
from training.session import Tensors, open_model
from training.steps.integers import LearntIntegers
from training.steps.journal import Journal

MODEL, MADE, NAMES, CACHE = "model.onnx", "made.json", "names.json", "calibration"
STATIC: Mapping[str, CalibrationSettings] = {
    "static": CalibrationSettings(),
    "static_entropy": CalibrationSettings(method="entropy"),
    "static_percentile": CalibrationSettings(method="percentile"),
}
TENSOR = "_tensor"
"""What the names of those methods end with that give all weights of a product one scale."""
WEIGHTS: Mapping[str, WeightOnlySettings] = {
    "weights8": WeightOnlySettings(bits=8),
    "weights4": WeightOnlySettings(bits=4),
}
PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
COMPARED_ON = 64
"""Samples by which layers are told apart that suffer much from those that don't."""
ROWS = 8
SENSITIVE = "it is among those that suffer most from integers"
COSTLY = "in integers it costs more time than it saves"

CODE = (sys.modules[__name__], quantization, evidence, graph, session, making, naming)

Method = Callable[[Path, Collection[str]], Quantized]
"""Quantizes a prepared file into another one, but for nodes of these names."""


def methods(file: Path) -> Sequence[str]:
    """Those that have a kernel for what the graph of a `file` multiplies by, 16-bit floats last unless it has such.

    Weights alone where products have few rows. One scale a tensor makes products of matrices faster and a convolution
    not at all (see `static`).
    """
    operators = graph.operators_in(file)
    coarser = bool(operators & {"Gemm", "MatMul"}) and "Conv" not in operators
    found = list(STATIC) if operators & PRODUCTS else []
    found += [f"{naming.STATIC}{TENSOR}"] if coarser else []
    if operators & {"Gemm", "LSTM", "MatMul"}:
        found += [naming.DYNAMIC, f"{naming.DYNAMIC}{TENSOR}"] if coarser else [naming.DYNAMIC]
    found += WEIGHTS if "MatMul" in operators else []
    return found if "FP16" in graph.weights_in(file) else [*found, HALF]


def quantized(journal: Journal[Any], design: Design, source: Path, samples: Tensors) -> Path:
    """The file that a `design` makes of the file `source` of its network in floating point.

    `samples` [N, ...] are inputs of it, of the training part. Raises ArtifactError that says why there is none.
    """
    numbers, path = Numbers.of(design.numbers), journal.path(design.name, MODEL)
    order = _most_sensitive_first(journal, design, source, samples)[: numbers.kept] if numbers.kept else ()
    costly = _costly(journal, design, source, samples, order) if numbers.reverted else ()
    kept = dict.fromkeys(order, SENSITIVE) | dict.fromkeys(costly, COSTLY)
    shown = {name: array[:ROWS] for name, array in samples.items()}

    def action(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            prepared = Path(scratch) / MODEL
            prepare(source, prepared)
            quantized = _method(numbers.method, prepared, samples, journal.folder / CACHE)(folder / MODEL, kept)
        if numbers.method == HALF:
            check_survived(quantized.model, shown)
        # Tables multiply nothing, so that of them only these are told.
        told = {node: reason for node, reason in kept.items() if node in quantized.left or reason == SENSITIVE}
        _tell(folder, {**quantized.left, **told}, quantized.model, shown)

    journal.do(
        design.name,
        {
            "model": source,
            "numbers": design.numbers,
            "kept": kept,
            "reduce_range": reduced_range(),
            **samples,
        },
        CODE,
        action,
        lambda: f"{path.stat().st_size / 1e6:.2f} MB",
    )
    return path


def learnt(journal: Journal[Any], design: Design, source: LearntIntegers, samples: Tensors) -> Path:
    """The file of the integers that the network of a `design` was trained for; otherwise as `quantized`."""
    path = journal.path(design.name, MODEL)

    def action(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            prepared = Path(scratch) / MODEL
            prepare(source.model, prepared)
            ranges = calibrate(prepared, samples, CalibrationSettings(), cache=journal.folder / CACHE)
            found = static(prepared, folder / MODEL, with_learnt(ranges, source.ranges, prepared))
        _tell(folder, found.left, found.model, {name: array[:ROWS] for name, array in samples.items()})

    inputs = {"model": source.model, "ranges": source.ranges, "reduce_range": reduced_range(), **samples}
    journal.do(design.name, inputs, CODE, action, lambda: f"{path.stat().st_size / 1e6:.2f} MB")
    return path


def _tell(folder: Path, left: Mapping[str, str], model: Path, shown: Tensors) -> None:
    """Leave in a step's folder what became of the file `model`: see `Made`; `shown` [N, ...] are some of its inputs.

    Raises ArtifactError if the runtime doesn't compute them: tools make files that it refuses.
    """
    try:
        mates = influence(open_model(model), shown)
    except Exception as error:  # the binding raises a dozen unrelated classes
        raise ArtifactError(f"ONNX Runtime refuses what was made of it ({one_line(error)})") from error
    made = Made(left=left, mates=mates)
    put(folder / MADE, msgspec.json.format(msgspec.json.encode(made), indent=1))


def made_of(journal: Journal[Any], design: Design) -> Made:
    """What became of the network when its file was made, as it was left by `tell`."""
    return msgspec.json.decode(journal.path(design.name, MADE).read_bytes(), type=Made)


def _method(name: str, prepared: Path, samples: Tensors, cache: Path) -> Method:
    """A method by its name, for a prepared file."""
    per_channel, base = not name.endswith(TENSOR), name.removesuffix(TENSOR)
    if base == HALF:
        return lambda target, kept: half(prepared, target, keep_float=kept)
    if base == naming.DYNAMIC:
        return lambda target, kept: dynamic(prepared, target, keep_float=kept, per_channel=per_channel)
    if base in WEIGHTS:
        return lambda target, kept: weight_only(prepared, target, WEIGHTS[base], keep_float=kept)
    ranges: Ranges = calibrate(prepared, samples, STATIC[base], cache=cache)
    return lambda target, kept: static(prepared, target, ranges, keep_float=kept, per_channel=per_channel)


def _most_sensitive_first(journal: Journal[Any], design: Design, source: Path, samples: Tensors) -> Sequence[str]:
    """The nodes that multiply of a design with ranges that are learnt, by how much answers suffer from each alone."""
    method = Numbers.of(design.numbers).method
    step = f"sensitivity-{design.network.name}-{method}"
    path = journal.path(step, NAMES)

    def action(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            prepared = Path(scratch) / MODEL
            prepare(source, prepared)
            settings = STATIC[method.removesuffix(TENSOR)]
            ranges = calibrate(prepared, samples, settings, cache=journal.folder / CACHE)
            compared = {name: array[:COMPARED_ON] for name, array in samples.items()}
            found = sensitivities(prepared, compared, ranges)
        put(folder / NAMES, msgspec.json.encode([one.node for one in found]))

    inputs = {"model": source, "method": method, "reduce_range": reduced_range(), **samples}
    code = (sys.modules[__name__], quantization, graph, session)
    journal.do(step, inputs, code, action, lambda: f"{len(_read(path))} layers")
    order = _read(path)
    if Numbers.of(design.numbers).kept >= len(order):
        raise ArtifactError(f"{method}: only {len(order)} layers can be integers, so that none would be left")
    return order


def _read(path: Path) -> Sequence[str]:
    return msgspec.json.decode(path.read_bytes(), type=tuple[str, ...])


def _costly(
    journal: Journal[Any], design: Design, source: Path, samples: Tensors, order: Sequence[str]
) -> Sequence[str]:
    """What is faster in float, one input at a time, than by the method of a design that has `order` in float already.

    Raises ArtifactError where that is nothing, or everything, which is kept as any finding is.
    """
    step = f"costly-{design.network.name}-{replace(Numbers.of(design.numbers), reverted=False)}"

    def read() -> Sequence[str] | None:
        return msgspec.json.decode(journal.path(step, NAMES).read_bytes(), type=tuple[str, ...] | None)

    def action(folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            prepared = Path(scratch) / MODEL
            prepare(source, prepared)
            method = _method(Numbers.of(design.numbers).method, prepared, samples, journal.folder / CACHE)
            found = _reverted(prepared, method, order, {name: array[:1] for name, array in samples.items()})
        put(folder / NAMES, msgspec.json.encode(found))

    inputs = {
        "model": source,
        "numbers": design.numbers,
        "order": list(order),
        "reduce_range": reduced_range(),
        "machine": msgspec.to_builtins(machine()),
        **samples,
    }
    code = (sys.modules[__name__], quantization, evidence, graph, session)
    journal.do(step, inputs, code, action, lambda: "everything" if (found := read()) is None else f"{len(found)} nodes")
    if (found := read()) is None:
        raise ArtifactError("all of it costs more time in integers than it saves")
    if not found:
        raise ArtifactError("no layer costs more time in integers than it saves")
    return found


def _reverted(prepared: Path, method: Method, order: Collection[str], shown: Tensors) -> Collection[str] | None:
    """What costs more time than it saves by a `method` that has `order` in float already; None for everything."""
    with tempfile.TemporaryDirectory() as scratch:
        taken = 0

        def quantize(left: frozenset[str]) -> Path:
            nonlocal taken
            taken += 1
            try:
                return method(Path(scratch) / f"{taken}.onnx", {*order, *left}).model
            except ArtifactError:
                return prepared  # nothing is left to be integers

        found = revert(prepared, quantize, shown, RevertSettings())
    return None if found.model == prepared else sorted(found.keep_float)
