"""What a model's configuration demands of a request, checked before it is queued so that it can't hurt batch-mates."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.config import ModelConfig
from service.artifact.signature import TensorSpec
from service.datatypes import BYTES
from service.errors import InvalidRequest
from service.messages import InferRequest, Tensor
from service.quoting import quoted

MOST_PARTS = 64
"""Batches that one request may fill."""
_MOST_KNOWN = 256


class Contract:
    """Owns the expected names, datatypes and dims of one model, in a form that is quick to compare with."""

    def __init__(self, config: ModelConfig) -> None:
        self._model = config.name
        self._max_rows = config.max_batch_size
        self._most_rows = config.max_batch_size * MOST_PARTS
        self._why_whole = ""
        batching = config.dynamic_batching
        self._levels = batching.priority_levels if batching else 0
        self.has_levels = self._levels > 0
        self._default_level = batching.default_priority_level if batching else 0
        self._finite = config.hone.reject_non_finite
        self._texts = not config.is_all and any(spec.datatype == BYTES for spec in config.inputs)
        self._looks = self._finite or self._texts
        self._inputs = config.inputs
        self._positions = {spec.name: position for position, spec in enumerate(config.inputs)}
        self.all_outputs = tuple(enumerate(config.outputs))
        self._named = {spec.name: (position, spec) for position, spec in self.all_outputs}
        self._dims = [tuple(spec.dims) for spec in config.inputs]
        self._known: dict[tuple[str, str, tuple[int, ...]], int] = {}  # rows of only inputs that were found to fit

    def inputs(self, request: InferRequest) -> tuple[Sequence[NDArray[Any]], int]:
        """The request's arrays in the model's order, and its rows (1 without a batch axis).

        Raises InvalidRequest naming the tensor, what the model expects and what came.
        """
        if self._looks or len(request.inputs) != 1:
            return self._compared(request)
        (only,) = request.inputs
        form = (only.name, only.datatype, only.array.shape)
        known = self._known.get(form)
        if known is not None:
            return [only.array], known
        arrays, rows = self._compared(request)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[form] = rows
        return arrays, rows

    def _compared(self, request: InferRequest) -> tuple[Sequence[NDArray[Any]], int]:
        """The same for what hasn't been seen before."""
        if len(request.inputs) != len(self._inputs):
            self._explain_names(request)
        arrays: list[Any] = [None] * len(self._inputs)
        rows = -1
        for tensor in request.inputs:
            position = self._positions.get(tensor.name)
            if position is None or arrays[position] is not None:
                self._explain_names(request)
                raise InvalidRequest(f"input {quoted(tensor.name)} is given twice")
            spec = self._inputs[position]
            if tensor.datatype != spec.datatype:
                raise InvalidRequest(
                    f'input {quoted(tensor.name)} is {tensor.datatype}, model "{self._model}" takes {spec.datatype}'
                )
            shape = tensor.array.shape
            if self._max_rows:
                if not shape or shape[1:] != self._dims[position]:
                    self._compare(tensor, spec)
                if rows not in (-1, shape[0]):
                    raise InvalidRequest(f"input {quoted(tensor.name)} has {shape[0]} rows, another input has {rows}")
                rows = shape[0]
            elif shape != self._dims[position]:
                self._compare(tensor, spec)
            if self._looks:
                self._look_into(tensor)
            arrays[position] = tensor.array
        if not self._max_rows:
            return arrays, 1
        if not 0 < rows <= self._most_rows:
            text = f'{rows} rows, model "{self._model}" takes 1 to {self._most_rows} in a request'
            raise InvalidRequest(f"{text}{self._why_whole}")
        return arrays, rows

    def keep_whole(self) -> None:
        """Take no more rows in a request than in a batch from now on: in parts they would be answered otherwise."""
        self._known.clear()
        self._most_rows = self._max_rows
        self._why_whole = ", no more than in a batch: its rows may change each other's answers"

    def outputs(self, names: Sequence[str]) -> Sequence[tuple[int, TensorSpec]]:
        """Position and spec of the outputs asked for. Raises InvalidRequest."""
        try:
            return [self._named[name] for name in names]
        except KeyError as error:
            known = ", ".join(f'"{name}"' for name in self._named)
            raise InvalidRequest(
                f'model "{self._model}" has no output {quoted(error.args[0])}; it has {known}'
            ) from None

    def level(self, priority: int) -> int:
        """The level of a request that asks for `priority`, counted from 0. Raises InvalidRequest.

        A model without priority levels (`has_levels`) takes whatever clients ask for, as Triton does.
        """
        if priority > self._levels:
            raise InvalidRequest(f'priority is {priority}, model "{self._model}" has levels 1 to {self._levels}')
        return (priority or self._default_level) - 1

    def _compare(self, tensor: Tensor, spec: TensorSpec) -> None:
        """Raises unless the shapes agree where the model's is fixed."""
        expected = (-1, *spec.shape) if self._max_rows else spec.shape
        shape = tensor.array.shape
        fits = len(shape) == len(expected) and all(e in (-1, s) for s, e in zip(shape, expected, strict=True))
        if not fits:
            raise InvalidRequest(
                f'input {quoted(tensor.name)} has shape {list(shape)}, model "{self._model}" takes {list(expected)}'
            )

    def _look_into(self, tensor: Tensor) -> None:
        """Raises for content that the model doesn't take. Runtimes of ours take BYTES as text, remotes as they are."""
        if self._finite and not _is_finite(tensor):
            raise InvalidRequest(
                f'input {quoted(tensor.name)} holds NaN or infinity, model "{self._model}" takes neither'
            )
        if self._texts and tensor.datatype == BYTES and (element := _first_without_text(tensor)) is not None:
            raise InvalidRequest(
                f'input {quoted(tensor.name)}: element {element} isn\'t UTF-8 text, which model "{self._model}" takes'
            )

    def _explain_names(self, request: InferRequest) -> None:
        given = [tensor.name for tensor in request.inputs]
        known = ", ".join(f'"{name}"' for name in self._positions)
        for name in given:
            if name not in self._positions:
                raise InvalidRequest(f'model "{self._model}" has no input {quoted(name)}; it takes {known}')
        for name in self._positions:
            if name not in given:
                raise InvalidRequest(f'input "{name}" of model "{self._model}" is missing')


def _first_without_text(tensor: Tensor) -> int | None:
    """The first element that isn't UTF-8, None if all are: one pass over all of them, since there may be millions."""
    joined = b"\0".join(tensor.array.flat)  # no character goes on beyond a zero
    if joined.isascii():
        return None
    try:
        joined.decode()
    except UnicodeDecodeError as error:
        lengths = np.fromiter(map(len, tensor.array.flat), np.int64, tensor.array.size)
        return int(np.searchsorted(np.cumsum(lengths + 1), error.start, side="right"))
    return None


def _is_finite(tensor: Tensor) -> bool:
    if tensor.datatype == "BF16":  # bit patterns: all ones in the exponent
        return not bool(((tensor.array & 0x7F80) == 0x7F80).any())
    return tensor.array.dtype.kind != "f" or bool(np.isfinite(tensor.array).all())
