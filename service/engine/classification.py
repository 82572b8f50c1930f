"""Triton's classification extension: of an output only the highest elements, as texts `value:index[:label]`."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.artifact.config import ModelConfig
from service.datatypes import BYTES, numbers
from service.engine.exchange import Receiver
from service.errors import HoneError, InvalidRequest
from service.messages import InferResponse, Tensor

MOST = 131_072
"""Classes that a request may be answered with: each is made a text, in which time nobody else is served."""


class Classified:
    """Stands before a receiver, and turns the outputs that it wants as classes into them. Implements `Receiver`."""

    def __init__(self, receiver: Receiver, wanted: Mapping[str, int], config: ModelConfig) -> None:
        """`wanted` is how many classes, by output. Raises InvalidRequest for an output that has no numbers."""
        for spec in config.outputs:
            if spec.name in wanted and spec.datatype == BYTES:
                raise InvalidRequest(f'output "{spec.name}" is BYTES, only numbers can be classified')
        self._receiver = receiver
        self._wanted = wanted
        self._labels = config.labels
        self._batched = config.max_batch_size > 0

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`; raises InvalidRequest where more classes are wanted than are given."""
        outputs = [self._tensor(tensor) for tensor in response.outputs]
        self._receiver.emit(msgspec.structs.replace(response, outputs=tuple(outputs)))

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        self._receiver.finish(error)

    def _tensor(self, tensor: Tensor) -> Tensor:
        most = self._wanted.get(tensor.name)
        if most is None:
            return tensor
        values = numbers(tensor.datatype, tensor.array)
        rows = values.reshape(values.shape[0], -1) if self._batched else values.reshape(1, -1)
        if (classes := len(rows) * min(most, rows.shape[1])) > MOST:
            raise InvalidRequest(f'output "{tensor.name}": {classes} classes are asked for, at most {MOST} are given')
        texts = top_classes(rows, most, self._labels.get(tensor.name, ()))
        return Tensor(name=tensor.name, datatype=BYTES, array=texts if self._batched else texts[0])


def top_classes(rows: NDArray[Any], most: int, labels: Sequence[str]) -> NDArray[np.object_]:
    """The highest elements of each row, at most `most`, highest first and the first of equals first; what isn't a
    number comes last. `labels` name the first indices. Values are written as Triton does, with six digits.
    """
    count, width = rows.shape
    if rows.dtype.kind == "f":
        order = np.argsort(-rows, axis=1, kind="stable")[:, :most]
    else:  # the negative of the smallest integer, or of an unsigned one, isn't one
        order = width - 1 - np.argsort(rows[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :most]
    classes = np.empty((count, min(most, width)), np.object_)
    form = "%f" if rows.dtype.kind == "f" else "%d"
    for row, indices in enumerate(order):
        for rank, index in enumerate(indices):
            text = f"{form % rows[row, index]}:{index}"
            classes[row, rank] = (f"{text}:{labels[index]}" if index < len(labels) else text).encode()
    return classes
