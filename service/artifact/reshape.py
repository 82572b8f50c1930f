"""Tensors that clients see in another shape than the model: Triton's `reshape`.

`dims` are what clients see, `reshape { shape: [...] }` what the model has; the batch axis belongs to neither. Both have
the same elements in the same order, so that sizes which vary stand at corresponding places: [2, 4, -1, 6] may be
[8, -1, 1, 6], since what lies before, between and behind the sizes that vary is as large. Source: `ValidateIOShape` in
Triton's core/src/model_config_utils.cc.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

from service.errors import ArtifactError


def check_reshapes(written: Any, *, ours: bool, source: str) -> None:
    """Raises ArtifactError, beginning with `source`, for a tensor of the message `ModelConfig` that can't be reshaped
    as it says. `ours`: a runtime of this server computes the model, from what clients send and not from texts.
    """
    states = {state.output_name for state in written.sequence_batching.state}
    for role, tensors in (("input", written.input), ("output", written.output)):
        for tensor in tensors:
            if tensor.HasField("reshape"):
                place = f'{source}: {role} "{tensor.name}": reshape'
                if not ours:
                    raise ArtifactError(f"{place}: is for models that a runtime of this server computes")
                if tensor.name in states and role == "output":
                    raise ArtifactError(f"{place}: a state of a sequence has the model's own dims")
                _check(list(tensor.dims), list(tensor.reshape.shape), batched=written.max_batch_size > 0, place=place)


def _check(dims: list[int], shape: list[int], *, batched: bool, place: str) -> None:
    if any(dim < -1 or dim == 0 for dim in shape):
        raise ArtifactError(f"{place}: is {shape}, expected numbers above 0, or -1")
    if not shape and not batched:
        raise ArtifactError(f"{place}: is empty, which needs a batch axis (max_batch_size above 0)")
    if _spans(dims) != _spans(shape):
        raise ArtifactError(f"{place}: is {shape}, which hasn't the elements of dims {dims}")


def reshaped(shape: Sequence[int], before: Sequence[int], after: Sequence[int]) -> tuple[int, ...]:
    """A tensor's `shape` of dims `before` as one of dims `after`; axes in front of `before` stay. Raises ValueError."""
    front = len(shape) - len(before)
    if front < 0 or any(dim not in (-1, size) for size, dim in zip(shape[front:], before, strict=True)):
        raise ValueError(f"has shape {list(shape)}, expected {list(before)}")
    varying = iter([size for size, dim in zip(shape[front:], before, strict=True) if dim == -1])
    return (*shape[:front], *(next(varying) if dim == -1 else dim for dim in after))


def _spans(dims: Sequence[int]) -> list[int]:
    """The elements before, between and behind the sizes that vary."""
    ends = [-1, *(place for place, dim in enumerate(dims) if dim == -1), len(dims)]
    return [prod(dims[start + 1 : end]) for start, end in pairwise(ends)]
