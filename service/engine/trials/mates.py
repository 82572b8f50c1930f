"""Batch-mates that differ from a row as much as the runtime takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.signature import TensorSpec
from service.datatypes import BF16
from service.engine.trials.samples import to_bf16


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """Floats of mates are `factor` times as large as the largest of ordinary rows, with either sign; for a factor of 1,
    they are the least and the largest of these. At the `ends`, bytes are at those of their datatype; other integers may
    be positions in a table, so they and booleans are at the ends of what ordinary rows hold, the row that is compared
    at one and its mates at the other. Else mates hold what ordinary rows do, at other places.
    """

    factor: float
    ends: bool


CONTRASTS = (
    Contrast(factor=1e3, ends=True),
    Contrast(factor=1e3, ends=False),
    Contrast(factor=10, ends=False),
    Contrast(factor=1, ends=False),
)
"""The first is beyond what a range that was learnt from data covers; the others are for who refuses that."""


def beside(
    specs: Sequence[TensorSpec], batch: Sequence[NDArray[Any]], position: int, contrast: Contrast
) -> list[NDArray[Any]]:
    """The row at `position`, the first or the last of an ordinary batch, among such mates; shapes are the batch's."""
    return [_beside(spec, array, position, contrast) for spec, array in zip(specs, batch, strict=True)]


def _beside(spec: TensorSpec, array: NDArray[Any], position: int, contrast: Contrast) -> NDArray[Any]:
    row: Any = array[position]
    if spec.datatype == BF16:
        mates = to_bf16(_spread((array.astype(np.uint32) << 16).view(np.float32), contrast.factor))
    elif array.dtype.kind == "f":
        mates = _spread(array, contrast.factor)
    elif contrast.ends and spec.datatype in {"UINT8", "INT8"}:
        limits = np.iinfo(array.dtype)
        mates = np.where(_alternating(array), limits.min, limits.max).astype(array.dtype)
    elif contrast.ends and array.dtype.kind in "iub":
        row, other = (array.max(), array.min()) if position else (array.min(), array.max())
        mates = np.full_like(array, other)
    else:
        mates = np.flip(array).copy()
    mates[position] = row
    return mates


def _spread(array: NDArray[Any], factor: float) -> NDArray[Any]:
    """See `Contrast`: floats of the same shape, finite in their datatype."""
    values = array.astype(np.float64)
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max(initial=0.0)) or 1.0
    high = min(largest * factor, float(np.finfo(array.dtype).max) / 2)
    low = -high
    if factor == 1:
        low, high = finite.min(initial=largest), finite.max(initial=-largest)
    return np.where(_alternating(array), low, high).astype(array.dtype)


def _alternating(array: NDArray[Any]) -> NDArray[np.bool_]:
    return (np.arange(array.size).reshape(array.shape) % 2).astype(np.bool_)
