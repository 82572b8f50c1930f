"""Is the ONNX file the model that it was made of? Its answers are held against the original's."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from service.artifact.digest import sha256_file
from service.errors import ArtifactError
from training.durable import put
from training.errors import one_line
from training.export import PARITY_BATCHES, PARITY_TOLERANCE, difference
from training.graph import Tensors, name_batch, nodes_of, tensors_of
from training.imports import samples as sampling
from training.imports.converted import Converted
from training.session import Arrays, Run, open_runner

SEED = 0
ROW_TOLERANCE, ROW_TOLERANCE_F16 = 1e-3, 3e-2
"""What a row may differ by among others, as the service has it when it joins requests."""
RANDOM = {
    "Bernoulli",
    "Dropout",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}


@dataclass(frozen=True, kw_only=True)
class Proved:
    """A model file that answers as its original: what it takes, what it was tried with, and what it answered.

    `parity` is the largest difference in an answer, as a share of what is beyond 1; `shapes` are those of the first
    input that were compared. `drawn_from` says where the samples are from. `unbatched` says why a first axis that
    varies is no batch, and is empty where it is one, or nothing varies.
    """

    tensors: Tensors
    samples: Arrays
    answers: Arrays
    parity: float
    shapes: tuple[tuple[int, ...], ...]
    drawn_from: str
    unbatched: str = ""


def prove(converted: Converted, path: Path, *, samples: Path | None, batched: bool) -> Proved:
    """Write the graph to `path` and compare it with its original, at three batch sizes where it has a batch.

    `samples` is an NPZ, or None for random numbers. With `batched`, a model for batches of one is made one for any.
    Raises ArtifactError if answers differ, or are by chance, and SettingsError about the samples.
    """
    model, tensors = converted.model, tensors_of(converted.model)
    single = batched and not tensors.batched
    if single:
        _check_single(tensors)
        name_batch(model)
        tensors = tensors_of(model)
    arrays = _samples(samples, tensors)
    why = _no_batch(model, arrays) if tensors.batched and not single else ""
    if why:
        tensors = replace(tensors, batched=False)
        arrays = _samples(samples, tensors)
    if tensors.batched:
        name_batch(model)
    put(path, model.SerializeToString())
    asked = list(_batches(arrays, tensors, halved=converted.traced))
    expected = _originals(converted, tensors, asked, single=single)
    run = open_runner(path)
    parity, made_up = 0.0, f"random numbers, seed {SEED}"
    for batch, answers in zip(asked, expected, strict=True):
        computed = _computed(run, tensors, batch, single=single)
        _check_repeated(computed, run(batch), model)
        apart = _apart(computed, answers, tensors, len(batch[0]) if tensors.batched else 1)
        if np.isnan(apart):
            where = _unsound(tensors_of(model), [computed, [np.asarray(answers[one.name]) for one in tensors.outputs]])
            asked_with = made_up if samples is None else samples.name
            hint = "name samples that are answered by numbers with --samples" if samples is None else "leave such out"
            raise ArtifactError(f"answers NaN or infinity ({where} of {asked_with}); {hint}")
        parity = max(parity, apart)
    if not parity <= PARITY_TOLERANCE:
        hint = _hint(tensors, single=single)
        raise ArtifactError(f"the ONNX file differs from the original by {parity:.2g} in an answer{hint}")
    golden = [array[: sampling.ROWS] for array in arrays] if tensors.batched else arrays
    return Proved(
        tensors=tensors,
        samples=golden,
        answers=[one.astype(np.str_) if one.dtype == object else one for one in run(golden)],
        parity=parity,
        shapes=tuple(batch[0].shape for batch in asked),
        drawn_from=made_up if samples is None else f"{samples.name}, SHA-256 {sha256_file(samples)}",
        unbatched=why,
    )


def _samples(path: Path | None, tensors: Tensors) -> Arrays:
    return sampling.draw(tensors, SEED) if path is None else sampling.read(path, tensors)


def _no_batch(model: onnx.ModelProto, arrays: Arrays) -> str:
    """Why the first axis is no batch, or nothing; what can't be computed is told when it is compared."""
    rows = range(min(len(arrays[0]), sampling.ROWS))
    try:
        run = open_runner(model.SerializeToString())
        together = run([array[: len(rows)] for array in arrays])
        alone = [run([array[row : row + 1] for array in arrays]) for row in rows]
    except Exception:
        return ""
    if any(not answer.ndim or len(answer) != len(rows) for answer in together):
        return "its answers haven't a row for each that it is given"
    if all(
        _same_row(own, [answer[row : row + 1] for answer in together]) for row, own in zip(rows, alone, strict=True)
    ):
        return ""
    return "a row alone is answered otherwise than among others, as a step of a series is"


def _same_row(alone: Arrays, among: Arrays) -> bool:
    """Whether both are the same answers, but for what the service, too, puts down to the order of additions."""
    for one, other in zip(alone, among, strict=True):
        tolerance = ROW_TOLERANCE_F16 if one.dtype == np.float16 else ROW_TOLERANCE
        if one.shape != other.shape:
            return False
        apart = _texts_apart(one, other) if one.dtype == object else difference("", one, other, 1)
        if not apart <= tolerance:
            return False
    return True


def _texts_apart(one: NDArray[Any], other: NDArray[Any]) -> float:
    return 0.0 if np.array_equal(one.astype(np.str_), other.astype(np.str_)) else np.inf


def _check_repeated(first: Arrays, again: Arrays, model: onnx.ModelProto) -> None:
    """Raise ArtifactError, naming what draws random numbers, if the same inputs were answered in two ways."""
    if all(
        np.array_equal(one, other, equal_nan=one.dtype.kind == "f") for one, other in zip(first, again, strict=True)
    ):
        return
    drawing = sorted({node.op_type for node in nodes_of(model)} & RANDOM)
    by = f" by chance ({', '.join(drawing)})" if drawing else ""
    raise ArtifactError(
        f"the same inputs are answered otherwise each time{by}; make what is drawn an input of the model"
    )


def _check_single(tensors: Tensors) -> None:
    wrong = [one.name for one in (*tensors.inputs, *tensors.outputs) if one.dims[:1] not in {(1,), (-1,)}]
    if wrong:
        raise ArtifactError(
            f"{', '.join(wrong)}: the first axis isn't a batch of one, so it can't be made one of any size"
        )


def _batches(arrays: Arrays, tensors: Tensors, *, halved: bool) -> Iterator[Arrays]:
    """The samples in batches of three sizes; once more with all else that varies half as long, if it is to be tried."""
    yield from ([array[:size] for array in arrays] for size in PARITY_BATCHES) if tensors.batched else [arrays]
    front = int(tensors.batched)
    if halved and any(-1 in one.dims[front:] for one in tensors.inputs):
        yield [_half(array, one.dims, front) for array, one in zip(arrays, tensors.inputs, strict=True)]


def _half(array: NDArray[Any], dims: Sequence[int], front: int) -> NDArray[Any]:
    """The first half along each axis that varies, from the axis `front` on."""
    for axis, side in enumerate(dims):
        if axis >= front and side < 0:
            array = array.take(range(-(-array.shape[axis] // 2)), axis=axis)
    return array


def _originals(
    converted: Converted, tensors: Tensors, asked: Sequence[Arrays], *, single: bool
) -> Sequence[Mapping[str, Any]]:
    """What the original answers; one that takes batches of one is asked row by row."""
    names = [one.name for one in tensors.inputs]
    try:
        if not single:
            return converted.original(names, asked)
        rows = [[[array[at : at + 1] for array in batch] for at in range(len(batch[0]))] for batch in asked]
        answered = [converted.original(names, batch) for batch in rows]
        return [{name: np.concatenate([row[name] for row in batch]) for name in batch[0]} for batch in answered]
    except Exception as error:  # a runtime's binding raises a dozen unrelated classes
        text = f"the original can't compute {_shapes(tensors, asked[0])} ({one_line(error)})"
        raise ArtifactError(f"{text}; name samples that it can with --samples") from error


def _computed(run: Run, tensors: Tensors, batch: Arrays, *, single: bool) -> Arrays:
    try:
        return run(batch)
    except Exception as error:
        text = f"the ONNX file can't compute {_shapes(tensors, batch)}, as the original does ({one_line(error)})"
        hint = "; a batch of one is written into its graph, so import it without --batched" if single else ""
        raise ArtifactError(f"{text}{hint}") from error


def _apart(computed: Arrays, expected: Mapping[str, Any], tensors: Tensors, size: int) -> float:
    """The largest difference in an answer."""
    worst = 0.0
    for one, found in zip(tensors.outputs, computed, strict=True):
        if one.name not in expected:
            raise ArtifactError(f"{one.name}: the original answers no such output, but {', '.join(expected)}")
        wanted = np.asarray(expected[one.name])
        apart = _texts_apart(wanted, found) if found.dtype == object else difference(one.name, wanted, found, size)
        worst = float(np.maximum(worst, apart))
    return worst


def _unsound(tensors: Tensors, answered: Sequence[Arrays]) -> str:
    """The first output that isn't a number in one of these answers, and for which sample that is so."""
    for answers in answered:
        for one, found in zip(tensors.outputs, answers, strict=True):
            if found.dtype.kind == "f" and (unsound := ~np.isfinite(found)).any():
                return f"{one.name}, sample {np.argwhere(unsound)[0, 0]}" if tensors.batched else one.name
    raise AssertionError("all are numbers")


def _hint(tensors: Tensors, *, single: bool) -> str:
    if single:
        return "; its rows depend on how many there are, so it can't be made batched"
    if any(-1 in one.dims[1:] for one in tensors.inputs):
        return (
            "; if what varies besides the batch was frozen, as the length of a recurrent layer is, fix it in the model"
        )
    return ""


def _shapes(tensors: Tensors, batch: Arrays) -> str:
    return ", ".join(f"{one.name} {list(array.shape)}" for one, array in zip(tensors.inputs, batch, strict=True))
