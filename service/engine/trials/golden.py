"""Does the model answer as it did when it was published?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.golden import Golden
from service.artifact.signature import TensorSpec
from service.backends.plan import Plan
from service.datatypes import NUMPY_DTYPES
from service.engine.trials.bench import Bench
from service.engine.trials.difference import difference
from service.errors import ArtifactError
from service.quoting import quoted
from service.workers.trial import TrialFailed

TOLERANCE = 0.05
"""Largest difference of floats: other CPUs and precisions differ by less, another model by more."""
DISCRETE = 0.25
"""The same where answers aren't floats: a class between two may go either way."""


async def check(bench: Bench, plan: Plan, golden: Golden) -> None:
    """Raises ArtifactError, naming the tensor, when the samples don't fit the model, or it doesn't answer as they say.

    All rows are compared, in batches of at most the plan's maximum. Of a model without a batch axis the samples are one
    input.
    """
    rows = _check_fit(plan, golden)
    most = plan.max_batch_size or rows
    answers: list[Sequence[NDArray[Any]]] = []
    for start in range(0, rows, most):
        batch = [golden.inputs[spec.name] for spec in plan.inputs]
        if plan.max_batch_size:
            batch = [array[start : start + most] for array in batch]
        try:
            answers.append((await bench.run(batch)).outputs)
        except TrialFailed as error:
            raise ArtifactError(f"the model refuses its golden samples: {error}") from error
    for position, spec in enumerate(plan.outputs):
        expected = golden.outputs.get(spec.name)
        if expected is not None:
            _compare(spec.name, expected, [outputs[position] for outputs in answers], most)


def _compare(name: str, expected: NDArray[Any], parts: Sequence[NDArray[Any]], most: int) -> None:
    """Hold what came out for all batches of `most` rows against what was published; as a whole, since a share of the
    elements, or of the largest of them, says little about a few rows.
    """
    for number, part in enumerate(parts):
        published = expected.shape
        if len(parts) > 1:
            published = expected[number * most : (number + 1) * most].shape
        if part.shape != published:
            raise ArtifactError(
                f'output "{name}" has shape {list(part.shape)} for the golden samples, published was {list(published)}'
            )
    found = np.concatenate(parts) if len(parts) > 1 else parts[0]
    allowed, differs = TOLERANCE if expected.dtype.kind == "f" else DISCRETE, difference(expected, found)
    if differs > allowed:
        by = f"{differs:.0%}" if differs < 10 else "far more"
        raise ArtifactError(
            f'output "{name}" isn\'t what golden.npz says that the model answered when published: it differs by {by},'
            f" allowed are {allowed:.0%}. INT8 weights of 8 bits may do so on a CPU without VNNI: quantize them again,"
            " with reduce_range"
        )


def _check_fit(plan: Plan, golden: Golden) -> int:
    """The rows of the samples, 1 without a batch axis. Raises ArtifactError unless they can be this model's."""
    missing = [spec.name for spec in plan.inputs if spec.name not in golden.inputs]
    if missing:
        raise ArtifactError(f'golden.npz has no input "{missing[0]}"')
    batched = plan.max_batch_size > 0
    rows: dict[str, int] = {}
    for kind, verb, specs, arrays in (
        ("input", "takes", plan.inputs, golden.inputs),
        ("output", "serves", plan.outputs, golden.outputs),
    ):
        known = {spec.name: spec for spec in specs}
        names = ", ".join(f'"{name}"' for name in known)
        if not arrays and known:
            raise ArtifactError(f"golden.npz has no {kind}, the model {verb} {names}")
        for name, array in arrays.items():
            if name not in known:
                raise ArtifactError(f"golden.npz has {kind} {quoted(name)}, the model {verb} {names}")
            _check_tensor(f'golden.npz: {kind} "{name}"', verb, known[name], array, batched=batched)
            rows[f'{kind} "{name}"'] = len(array) if batched else 1
    (first, many), *others = rows.items()
    for other, found in others:
        if found != many:
            raise ArtifactError(f"golden.npz: {other} has {found} rows, {first} has {many}")
    if not many:
        raise ArtifactError("golden.npz holds no rows")
    return many


def _check_tensor(what: str, verb: str, spec: TensorSpec, array: NDArray[Any], *, batched: bool) -> None:
    """BF16 is held as numpy holds it here: as bit patterns."""
    if array.dtype != NUMPY_DTYPES[spec.datatype]:
        raise ArtifactError(f"{what} is {_datatype(array)}, the model {verb} {spec.datatype}")
    expected = (-1, *spec.shape) if batched else spec.shape
    shape = array.shape
    if len(shape) != len(expected) or any(dim not in (-1, own) for dim, own in zip(expected, shape, strict=True)):
        raise ArtifactError(f"{what} has shape {list(shape)}, the model {verb} {list(expected)}")


def _datatype(array: NDArray[Any]) -> str:
    """The protocol's name for what the array holds, numpy's where it has none."""
    names = (name for name, dtype in NUMPY_DTYPES.items() if dtype == array.dtype)  # UINT16 comes before BF16
    return next(names, str(array.dtype))
