"""Inputs to try a model with: its golden samples where it has some, else made up by datatype."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.signature import TensorSpec
from service.datatypes import BYTES, NUMPY_DTYPES

_SEED = 2026
_EXTREME = 1e3
"""How many times as large as calm values extreme ones are: beyond what a range that was learnt from data covers."""


def calm(
    specs: Sequence[TensorSpec], rows: int, golden: Mapping[str, NDArray[Any]], *, batched: bool = True
) -> list[NDArray[Any]]:
    """One array per input with `rows` rows: golden ones, repeated, or ordinary values. Dims that vary are 1."""
    generator = np.random.default_rng(_SEED)
    arrays = []
    for spec in specs:
        kept = golden.get(spec.name)
        if kept is not None and kept.ndim and len(kept):
            arrays.append(np.ascontiguousarray(kept[np.arange(rows) % len(kept)]) if batched else kept)
        else:
            arrays.append(_ordinary(spec, rows, generator, batched=batched))
    return arrays


def extreme(specs: Sequence[TensorSpec], mates: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Batch-mates of the same shapes with values as no training data has them.

    Signed and unsigned integers of more than a byte stay as they are: they may be positions in a table.
    """
    found: list[NDArray[Any]] = []
    for spec, mate in zip(specs, mates, strict=True):
        if spec.datatype in {"FP16", "FP32", "FP64"}:
            signs = np.where(np.arange(mate.size).reshape(mate.shape) % 2, -1, 1)
            largest = float(np.abs(mate.astype(np.float64)).max(initial=1.0)) or 1.0
            found.append((signs * min(largest * _EXTREME, 6e4)).astype(mate.dtype))
        elif spec.datatype in {"UINT8", "INT8"}:
            limits = np.iinfo(mate.dtype)
            found.append(
                np.where(np.arange(mate.size).reshape(mate.shape) % 2, limits.min, limits.max).astype(mate.dtype)
            )
        else:
            found.append(mate)
    return found


def _ordinary(spec: TensorSpec, rows: int, generator: np.random.Generator, *, batched: bool) -> NDArray[Any]:
    dims = tuple(dim if isinstance(dim, int) and dim > 0 else 1 for dim in spec.dims)
    shape = (rows, *dims) if batched else dims
    if spec.datatype == BYTES:
        return np.full(shape, b"", object)
    dtype = NUMPY_DTYPES[spec.datatype]
    if spec.datatype == "BF16":
        return (generator.normal(size=shape).astype(np.float32).view(np.uint32) >> 16).astype(dtype)
    if np.issubdtype(dtype, np.floating):
        return generator.normal(size=shape).astype(dtype)
    if spec.datatype == "UINT8":
        return generator.integers(0, 256, shape).astype(dtype)
    return generator.integers(0, 2, shape).astype(dtype)
