"""What a step of a sequence gives to the model besides what the client sent: controls, and states."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.artifact.config import ModelConfig
from service.artifact.sequence_batching import Control, SequenceBatching, State
from service.artifact.signature import TensorSpec
from service.datatypes import BYTES, NUMPY_DTYPES
from service.engine.correlation import Correlation
from service.errors import InvalidRequest

States = Sequence[NDArray[Any]]
"""One array for each state, [1, *dims] where the model has a batch axis, else [*dims]."""


class Steps:
    """Owns what all steps of one model's sequences have in common."""

    def __init__(self, config: ModelConfig, batching: SequenceBatching) -> None:
        self._model = config.name
        self._batched = config.max_batch_size > 0
        self._controls = batching.controls
        positions = {spec.name: position for position, spec in enumerate(config.model_outputs)}
        self.outputs: Sequence[tuple[int, TensorSpec]] = [
            (positions[state.output.name], state.output) for state in batching.states
        ]
        """Position and spec of the states among the model's outputs."""
        self.initial: States = [
            self._initial(state, config.initial_states.get(state.input.name)) for state in batching.states
        ]

    def inputs(self, correlation: Correlation, states: States, *, first: bool) -> list[NDArray[Any]]:
        """The controls and states of one step, in the model's order.

        Raises InvalidRequest for an id that doesn't fit the model's control.
        """
        return [*(self._control(control, correlation, first=first) for control in self._controls), *states]

    def _control(self, control: Control, correlation: Correlation, *, first: bool) -> NDArray[Any]:
        if control.values is None:
            return self._shaped([self._id(control, correlation.id)], control.input.datatype)
        yes = {"start": first, "end": correlation.end, "ready": True}[control.kind]
        return self._shaped([control.values[yes]], control.input.datatype)

    def _id(self, control: Control, name: int | str) -> int | bytes:
        datatype = control.input.datatype
        if datatype == BYTES:
            return str(name).encode()
        if isinstance(name, str) or name > np.iinfo(NUMPY_DTYPES[datatype]).max:
            raise InvalidRequest(f'parameter sequence_id: model "{self._model}" takes {datatype} numbers from 1 on')
        return name

    def _shaped(self, elements: list[Any], datatype: str) -> NDArray[Any]:
        array = np.array(elements, NUMPY_DTYPES[datatype])
        return array.reshape(1, 1) if self._batched else array

    def _initial(self, state: State, content: bytes | None) -> NDArray[Any]:
        dtype = NUMPY_DTYPES[state.input.datatype]
        shape = (1, *state.initial_dims) if self._batched else state.initial_dims
        if content is not None:
            return np.frombuffer(content, dtype).reshape(shape)
        return np.full(shape, b"", object) if state.input.datatype == BYTES else np.zeros(shape, dtype)
