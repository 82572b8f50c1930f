"""Padding of inputs whose length varies, so that requests of about the same length can be rows of one batch."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.artifact.config import ModelConfig
from service.artifact.lengths import Length
from service.artifact.signature import TensorSpec
from service.datatypes import NUMPY_DTYPES
from service.errors import InvalidRequest
from service.messages import InferRequest, Tensor
from service.quoting import quoted

Lengths = tuple[int, ...]
"""The length that a request had along each padded axis, in the order of the config's `hone.length` parameters."""


class Padding:
    """Owns how one model's inputs are padded and its outputs cut back; false where nothing is."""

    def __init__(self, config: ModelConfig) -> None:
        lengths, unpads = config.hone.lengths, config.hone.unpads
        positions = {spec.name: position for position, spec in enumerate(config.inputs)}
        outputs = {spec.name: position for position, spec in enumerate(config.outputs)}
        order = {length.input: number for number, length in enumerate(lengths)}
        self._lengths = [(positions[length.input], length) for length in lengths]
        self._specs = {spec.name: spec for spec in config.inputs}
        batched = int(config.max_batch_size > 0)
        self._masks = [
            (number, positions[length.mask], _open_axes(self._specs[length.mask], batched, length.axis))
            for number, length in enumerate(lengths)
            if length.mask
        ]
        self._unpads = {outputs[unpad.output]: (unpad.axis, order[unpad.like]) for unpad in unpads}

    def __bool__(self) -> bool:
        return bool(self._lengths)

    def complete(self, request: InferRequest) -> InferRequest:
        """The request with the masks that it left out: all of its positions are real."""
        given = {tensor.name: tensor for tensor in request.inputs}
        added = []
        for _, length in self._lengths:
            source = given.get(length.input)
            if not length.mask or length.mask in given or source is None or source.array.ndim <= length.axis:
                continue
            spec = self._specs[length.mask]
            ones = np.ones(source.array.shape[: length.axis + 1], NUMPY_DTYPES[spec.datatype])
            added.append(Tensor(name=spec.name, datatype=spec.datatype, array=ones))
        return msgspec.structs.replace(request, inputs=(*request.inputs, *added)) if added else request

    def pad(self, inputs: Sequence[NDArray[Any]]) -> tuple[list[NDArray[Any]], Lengths]:
        """The inputs, in the model's order, padded to their buckets, and the lengths that they had.

        Raises InvalidRequest for one that is longer than the largest bucket, or that a mask doesn't fit.
        """
        padded = list(inputs)
        had, made = [], []
        for position, length in self._lengths:
            array = padded[position]
            had.append(array.shape[length.axis])
            made.append(self._bucket(length, had[-1]))
            padded[position] = _padded(array, length.axis, made[-1], length.pad)
        for number, position, axes in self._masks:
            source, length = self._lengths[number]
            for axis in axes:
                if inputs[position].shape[axis] != inputs[source].shape[axis]:
                    raise _misfit(length, axis, inputs[position], inputs[source])
            padded[position] = _padded(padded[position], length.axis, made[number], 0)
        return padded, tuple(had)

    def unpad(self, position: int, output: NDArray[Any], had: Lengths) -> NDArray[Any]:
        """The output at `position` cut back to the length that its input had."""
        if position not in self._unpads:
            return output
        axis, number = self._unpads[position]
        return output[(slice(None),) * axis + (slice(had[number]),)]

    def bucket(self, had: Lengths) -> int:
        """The number of the bucket that inputs of these lengths are padded to: of several inputs, the largest."""
        return max(bisect_left(length.buckets, size) for (_, length), size in zip(self._lengths, had, strict=True))

    def waste(self, had: Sequence[tuple[int, Lengths]]) -> float:
        """The share of a batch that is padding, by rows and lengths of its requests, along the first padded axis."""
        length = self._lengths[0][1]
        real = sum([rows * lengths[0] for rows, lengths in had])
        whole = sum([rows * self._bucket(length, lengths[0]) for rows, lengths in had])
        return 1 - real / whole if whole else 0.0

    def _bucket(self, length: Length, size: int) -> int:
        index = bisect_left(length.buckets, size)
        if index == len(length.buckets):
            raise InvalidRequest(
                f"input {quoted(length.input)} has length {size}, the longest that this model takes is"
                f" {length.buckets[-1]}"
            )
        return length.buckets[index]


def _open_axes(mask: TensorSpec, batched: int, last: int) -> tuple[int, ...]:
    """The axes of a mask, up to the padded one, whose size is left to the request; the batch axis has been compared."""
    return tuple(axis for axis, size in enumerate(mask.shape, batched) if size == -1 and axis <= last)


def _misfit(length: Length, axis: int, mask: NDArray[Any], source: NDArray[Any]) -> InvalidRequest:
    return InvalidRequest(
        f"input {quoted(length.mask)} has length {mask.shape[axis]} along axis {axis}, {quoted(length.input)}, whose"
        f" mask it is, has length {source.shape[axis]}"
    )


def _padded(array: NDArray[Any], axis: int, size: int, value: float) -> NDArray[Any]:
    """The array with `value` behind its end along `axis`, up to `size`."""
    missing = size - array.shape[axis]
    if missing <= 0:
        return array
    shape = list(array.shape)
    shape[axis] = missing
    filler = np.full(shape, b"" if array.dtype.hasobject else value, array.dtype)
    return np.concatenate([array, filler], axis=axis)
