"""What a step of a sequence came to: an answer for the client, states for the next step."""

from collections.abc import Callable

import msgspec

from service.engine.exchange import Exchange
from service.engine.steps import States
from service.errors import HoneError
from service.messages import InferResponse


class StepAnswer:
    """Owns the states that one step left until its answer has been handed on; then `computed` takes them.

    `exchange` is the client's request. Implements `Receiver`.
    """

    def __init__(self, exchange: Exchange, computed: Callable[[States], None]) -> None:
        self._exchange = exchange
        self._computed = computed
        self._states: States = ()

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        shown = len(self._exchange.outputs)
        self._states = [tensor.array.copy() for tensor in response.outputs[shown:]]
        self._exchange.emit(msgspec.structs.replace(response, outputs=response.outputs[:shown]))

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        if error is not None:
            self._exchange.fail(error)
        elif not self._exchange.ended:
            self._computed(self._states)
