"""A request with more rows than a batch may have: its parts are computed as requests of their own, and put together."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.engine.exchange import Exchange
from service.engine.scheduling.scheduler import Scheduler
from service.errors import BackendError, Cancelled, HoneError
from service.messages import InferResponse, Tensor


class Parts:
    """Owns the parts of one exchange, `whole`. Implements `ExchangeOwner` for them.

    The first part that fails ends the whole and with it the others; when the whole ends for another reason (the client
    left), or isn't admitted, so do its parts. They take one place in the queue together: the last one's, so that it is
    given back when all of them have left.
    """

    def __init__(self, whole: Exchange, scheduler: Scheduler) -> None:
        self._whole = whole
        self._scheduler = scheduler
        self._exchanges: list[Exchange] = []
        self._answers: list[Sequence[Tensor]] = []
        self._missing = 0

    def submit(self, most: int) -> None:
        """Submit parts of at most `most` rows. Raises what the scheduler raises; then none of them is left."""
        whole = self._whole
        starts = range(0, whole.rows, most)
        self._answers = [()] * len(starts)
        self._missing = len(starts)
        try:
            for number, start in enumerate(starts):
                part = self._part(number, start, min(start + most, whole.rows))
                self._scheduler.submit(part)
                self._exchanges.append(part)
        except HoneError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Nobody waits for them any more."""
        parts, self._exchanges, self._answers = self._exchanges, [], []
        for part in parts:
            part.cancel()

    def ended(self, exchanges: Sequence[Exchange], error: HoneError | None) -> None:
        """See `ExchangeOwner`."""
        if error is None:
            return
        for exchange in exchanges:
            if not exchange.started:
                self._scheduler.left(exchange)
        if isinstance(error, Cancelled):  # it is we who cancel parts, and for the whole's sake
            return
        if self._whole.fail(error):
            self.abandon()

    def answered(self, number: int, response: InferResponse) -> None:
        """One part has its answer."""
        self._answers[number] = response.outputs
        self._missing -= 1
        if not self._missing:
            try:
                joined = [
                    Tensor(
                        name=one[0].name, datatype=one[0].datatype, array=np.concatenate([part.array for part in one])
                    )
                    for one in zip(*self._answers, strict=True)
                ]
            except (ValueError, MemoryError) as error:
                self._whole.fail(BackendError(f"the answers to its parts can't be joined: {error}"))
                return
            self._exchanges, self._answers = [], []  # each part refers to this, and its answer was copied
            self._whole.answer(msgspec.structs.replace(response, outputs=tuple(joined)))

    def _part(self, number: int, start: int, stop: int) -> Exchange:
        whole = self._whole
        inputs: list[NDArray[Any]] = [array[start:stop] for array in whole.inputs]
        return Exchange(
            request=whole.request,
            receiver=_PartReceiver(self, number),
            owner=self,
            inputs=inputs,
            outputs=whole.outputs,
            rows=stop - start,
            nbytes=sum([array.nbytes for array in inputs]),
            admitted=whole.admitted,
            deadline=whole.deadline,
            lengths=whole.lengths,
            weight=whole.weight,
            level=whole.level,
            rides=stop < whole.rows,
        )


class _PartReceiver:
    """Keeps a copy of one part's answer. Implements `Receiver`."""

    def __init__(self, parts: Parts, number: int) -> None:
        self._parts = parts
        self._number = number
        self._taken: InferResponse | None = None

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        copies = [Tensor(name=one.name, datatype=one.datatype, array=one.array.copy()) for one in response.outputs]
        self._taken = msgspec.structs.replace(response, outputs=tuple(copies))

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        if error is None and self._taken is not None:
            self._parts.answered(self._number, self._taken)
