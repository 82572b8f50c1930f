"""Samples that a model is quantized by are checked before it computes anything of them."""

import numpy as np
from numpy.typing import NDArray

from service.errors import ArtifactError
from training import graph
from training.session import Tensors
from training.suggestion import suggestion


def check_samples(tensors: graph.Tensors, samples: Tensors) -> None:
    """Raise ArtifactError unless `samples` has an array [N, ...], N >= 1, that fits each of the model's inputs.

    The text names the input, and the first sample that holds what is no number.
    """
    names = [one.name for one in tensors.inputs]
    for name in samples:
        if name not in names:
            raise ArtifactError(f"samples: the model has no input `{name}`{suggestion(name, names)}")
    if missing := [name for name in names if name not in samples]:
        raise ArtifactError(f"samples: there are none for the input {', '.join(missing)}")
    for one in tensors.inputs:
        _check(one, samples[one.name])
    lengths = {name: len(samples[name]) for name in names}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{count} of {name}" for name, count in lengths.items())
        raise ArtifactError(f"samples: all inputs must have as many, and there are {told}")


def length_of(samples: Tensors) -> int:
    """How many samples there are."""
    return len(next(iter(samples.values())))


def _check(tensor: graph.Tensor, array: NDArray[np.generic]) -> None:
    if array.dtype != tensor.dtype:
        raise ArtifactError(f"samples: {tensor.name} holds {array.dtype}, the model takes {tensor.dtype}")
    if len(array.shape) != len(tensor.dims) or any(
        wanted not in {-1, found} for wanted, found in zip(tensor.dims, array.shape, strict=True)
    ):
        raise ArtifactError(f"samples: {tensor.name} is {list(array.shape)}, the model takes {list(tensor.dims)}")
    if not array.size:
        raise ArtifactError(f"samples: {tensor.name} is empty; quantization needs at least one, better some hundreds")
    if array.dtype.kind != "f":
        return
    unsound = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if unsound.any():
        first = int(unsound.argmax())
        raise ArtifactError(
            f"samples: {tensor.name} holds NaN or infinity in {int(unsound.sum())} of {len(array)} samples, "
            f"first in sample {first}; leave them out or fill them in"
        )
