"""Batches that look like an earlier one, computed without looking again.

A model whose shapes are fixed gets RUN frames that differ in their sequence alone, one kind per number of rows. For
those the runtime is bound to the very bytes of the slot, inputs and outputs: nothing is copied, and neither the frame
nor the answer is put together anew. Measured on W1: 5.6 us of worker time a request instead of 8.2.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from service.backends.backend import Backend
from service.backends.plan import Plan
from service.datatypes import BYTES
from service.workers.frames import ATTACHED, Frame, encode, unnumbered, view_tensors
from service.workers.region import Region

_MOST = 256


class Bound(NamedTuple):
    """A kind of batch: `compute` fills the outputs in the slot (raises RunError), `answer` is the encoded RESULT."""

    compute: Callable[[], None]
    answer: bytes


class Bindings:
    """Owns what was prepared under one plan."""

    def __init__(self, backend: Backend, plan: Plan) -> None:
        self._backend = backend
        self._inputs = [spec.name for spec in plan.inputs]
        self._outputs = [spec.name for spec in plan.outputs]
        self._fixed = all(isinstance(dim, int) and dim >= 0 for spec in plan.outputs for dim in spec.dims) and not any(
            spec.datatype == BYTES for spec in (*plan.inputs, *plan.outputs)
        )
        self._bound: dict[bytes, Bound] = {}

    def find(self, data: bytes) -> Bound | None:
        """What was prepared for an encoded RUN frame."""
        return self._bound.get(unnumbered(data))

    def prepare(self, data: bytes, frame: Frame, inputs: Sequence[NDArray[Any]], answer: Frame, slot: Region) -> None:
        """Prepare for more frames like `frame` (encoded: `data`), which `answer` has just answered."""
        if not self._fixed or (frame.flags | answer.flags) & ATTACHED or len(self._bound) >= _MOST:
            return
        outputs = view_tensors(answer.tensors, slot.memory, len(self._outputs))
        compute = self._backend.bind(self._inputs, inputs, self._outputs, outputs)
        if compute:
            self._bound[unnumbered(data)] = Bound(compute, encode(answer))
