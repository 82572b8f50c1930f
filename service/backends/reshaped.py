"""A model whose clients see other shapes than it has: the same bytes, looked at in two ways."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray

from service.artifact.reshape import reshaped
from service.artifact.signature import Signature
from service.backends.backend import Backend, RunError
from service.backends.plan import Plan

_Dims: TypeAlias = tuple[int, ...]
_Change: TypeAlias = tuple[_Dims, _Dims]
"""Dims before, and after."""


def as_clients_see(backend: Backend, plan: Plan) -> Backend:
    """The backend behind the shapes of the plan: itself, unless the plan has any that aren't the model's."""
    if all(spec.reshape is None for spec in (*plan.inputs, *plan.outputs)):
        return backend
    return Reshaped(backend, plan)


class Reshaped:
    """Owns which dims are whose. Implements `Backend`; batch axes are none of its business."""

    def __init__(self, backend: Backend, plan: Plan) -> None:
        self._backend = backend
        self._inputs = {spec.name: (spec.shape, spec.model_shape) for spec in plan.inputs}
        self._outputs = {spec.name: (spec.model_shape, spec.shape) for spec in plan.outputs}
        self.signature: Signature = backend.signature
        self.runtime: str = backend.runtime

    def run(
        self, names: Sequence[str], inputs: Sequence[NDArray[Any]], outputs: Sequence[str]
    ) -> Sequence[NDArray[Any]]:
        """See `Backend`."""
        results = self._backend.run(names, self._fed(names, inputs), outputs)
        return [_changed(name, array, self._outputs[name]) for name, array in zip(outputs, results, strict=True)]

    def adopt(self, memory: memoryview) -> None:
        """See `Backend`."""
        self._backend.adopt(memory)

    def bind(
        self,
        names: Sequence[str],
        inputs: Sequence[NDArray[Any]],
        output_names: Sequence[str],
        outputs: Sequence[NDArray[Any]],
    ) -> Callable[[], None] | None:
        """See `Backend`: what is written into the model's views is in the clients' too."""
        turned = [
            _changed(name, array, self._outputs[name][::-1]) for name, array in zip(output_names, outputs, strict=True)
        ]
        return self._backend.bind(names, self._fed(names, inputs), output_names, turned)

    def _fed(self, names: Sequence[str], inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        return [_changed(name, array, self._inputs[name]) for name, array in zip(names, inputs, strict=True)]


def _changed(name: str, array: NDArray[Any], change: _Change) -> NDArray[Any]:
    """A view of a contiguous array. Raises RunError."""
    try:
        return array.reshape(reshaped(array.shape, *change))
    except ValueError as error:
        raise RunError(f'"{name}" can\'t be reshaped: it {error}') from error
