"""Inputs to try a model with: its golden samples where it has some, else made up by datatype."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.lengths import Length
from service.artifact.signature import TensorSpec
from service.datatypes import BF16, BYTES, NUMPY_DTYPES

_SEED = 2026


def calm(
    specs: Sequence[TensorSpec], rows: int, golden: Mapping[str, NDArray[Any]], *, batched: bool = True, size: int = 1
) -> list[NDArray[Any]]:
    """One array per input with `rows` rows: golden ones, cut or repeated to the dims of `specs`, or ordinary values.

    Of dims that vary golden inputs keep theirs, others get `size`.
    """
    generator = np.random.default_rng(_SEED)
    arrays = []
    for spec in specs:
        kept = golden.get(spec.name)
        shape = (rows, *spec.shape) if batched else spec.shape
        if kept is not None and kept.ndim == len(shape) and kept.size:
            arrays.append(_repeated(kept, shape))
        else:
            arrays.append(_ordinary(spec, tuple(size if dim < 0 else dim for dim in shape), generator))
    return arrays


def at_lengths(
    specs: Sequence[TensorSpec], lengths: Sequence[Length], number: int, *, batched: bool = True
) -> tuple[TensorSpec, ...]:
    """The inputs with all declared lengths at bucket `number` of theirs, or the last where they have fewer."""
    sizes: dict[tuple[str, int], int] = {}
    for length in lengths:
        bucket = length.buckets[min(number, len(length.buckets) - 1)]
        sizes.update({(name, length.axis - batched): bucket for name in (length.input, length.mask)})
    return tuple(
        replace(spec, dims=tuple(sizes.get((spec.name, axis), dim) for axis, dim in enumerate(spec.shape)))
        for spec in specs
    )


def _repeated(array: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """The array cut, or repeated from its start, to this shape along each axis; -1 leaves an axis as it is."""
    for axis, size in enumerate(shape):
        if size not in (-1, array.shape[axis]):
            array = array.take(np.arange(size) % array.shape[axis], axis)
    return np.ascontiguousarray(array)


def _ordinary(spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator) -> NDArray[Any]:
    if spec.datatype == BYTES:
        return np.full(shape, b"", object)
    dtype = NUMPY_DTYPES[spec.datatype]
    if spec.datatype == BF16:
        return to_bf16(generator.standard_normal(shape, np.float32))
    if np.issubdtype(dtype, np.floating):
        return generator.standard_normal(shape, np.float32).astype(dtype, copy=False)
    if spec.datatype == "UINT8":
        return generator.integers(0, 256, shape, dtype)
    found = generator.integers(0, 2, shape, dtype)
    found.reshape(-1)[:2] = (0, 1)[: found.size]  # both are there, if both can be
    return found


def to_bf16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bit patterns of the upper halves."""
    return (np.atleast_1d(array).view(np.uint32) >> 16).astype(np.uint16).reshape(array.shape)
