"""What a model from elsewhere is compared on: samples of its user's, or random numbers that a seed decides."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import SettingsError
from training.graph import Tensor, Tensors
from training.session import Arrays

ROWS = 8
UNNAMED = "arr_0"
"""What `np.savez` calls an array that isn't named."""
LENGTH = 8
"""How long an axis is that varies besides the batch, where there are no samples."""


def draw(tensors: Tensors, seed: int) -> Arrays:
    """Random arrays for the inputs, of eight rows where there is a batch. Raises SettingsError for texts.

    Floats are standard normal, bytes any. Wider integers are 0 or 1: they may be positions in a table of any size.
    """
    random = np.random.default_rng(seed)
    return [_drawn(one, random, batched=tensors.batched) for one in tensors.inputs]


def read(path: Path, tensors: Tensors) -> Arrays:
    """The arrays in an NPZ, one by the name of each input; a single input's needs no name.

    Fewer than eight rows are repeated. Raises SettingsError that names the array.
    """
    if path.is_file() and not zipfile.is_zipfile(path):
        raise SettingsError(f"{path}: isn't an NPZ file; `np.savez` writes one")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise SettingsError(f"{path}: isn't a readable NPZ file ({error})") from error
    if len(tensors.inputs) == 1 and [*arrays] == [UNNAMED]:
        arrays = {tensors.inputs[0].name: arrays[UNNAMED]}
    if missing := [one.name for one in tensors.inputs if one.name not in arrays]:
        raise SettingsError(
            f"{path}: lacks {', '.join(missing)}; it holds {', '.join(arrays) or 'nothing'}; name arrays as inputs:"
            f" np.savez(..., {', '.join(f'{name}=...' for name in missing)})"
        )
    samples = [_fitting(arrays[one.name], one, path) for one in tensors.inputs]
    if not tensors.batched:
        return samples
    if len({len(array) for array in samples}) > 1 or not len(samples[0]):
        counts = ", ".join(f"{len(array)} of {one.name}" for one, array in zip(tensors.inputs, samples, strict=True))
        raise SettingsError(f"{path}: all inputs must have as many rows, at least one; there are {counts}")
    return [array[np.arange(max(ROWS, len(array))) % len(array)] for array in samples]


def _drawn(tensor: Tensor, random: np.random.Generator, *, batched: bool) -> NDArray[Any]:
    sides = [LENGTH if side < 0 else side for side in tensor.dims]
    shape = (ROWS, *sides[1:]) if batched else tuple(sides)
    kind = tensor.dtype.kind
    if kind == "f":
        return random.standard_normal(shape).astype(tensor.dtype)
    if kind not in "iub":
        raise SettingsError(f"{tensor.name}: takes texts, of which none can be made up; name a file with --samples")
    limits = np.iinfo(tensor.dtype) if tensor.dtype.itemsize == 1 and kind != "b" else None
    low, high = (limits.min, limits.max) if limits else (0, 1)
    return random.integers(low, high, shape, endpoint=True).astype(tensor.dtype)


def _fitting(array: NDArray[Any], tensor: Tensor, path: Path) -> NDArray[Any]:
    if tensor.dtype == object and array.dtype.kind in "US":
        fitting = array.astype(np.str_)
    elif np.can_cast(array.dtype, tensor.dtype, casting="same_kind"):
        fitting = array.astype(tensor.dtype)
    else:
        raise SettingsError(f"{path}: {tensor.name} holds {array.dtype}, the model takes {tensor.dtype}")
    if not _fits(array.shape, tensor.dims):
        raise SettingsError(f"{path}: {tensor.name} is {list(array.shape)}, the model takes {list(tensor.dims)}")
    return fitting


def _fits(shape: Sequence[int], dims: Sequence[int]) -> bool:
    return len(shape) == len(dims) and all(side in {-1, found} for found, side in zip(shape, dims, strict=True))
