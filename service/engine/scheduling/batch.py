"""Exchanges that are computed together."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.engine.exchange import Exchange
from service.errors import BackendError


class Batch:
    """Exchanges in the order of their rows, all of one `weight`. Which of them have ended doesn't change the rows.

    `computed` counts the rows with those that it was padded by.
    """

    __slots__ = ("computed", "exchanges", "rows", "weight")

    def __init__(self, exchanges: Sequence[Exchange]) -> None:
        self.exchanges = exchanges
        self.rows = self.computed = sum([exchange.rows for exchange in exchanges])
        self.weight = exchanges[0].weight

    def gather(self, rows: int = 0) -> list[list[NDArray[Any]]]:
        """Per input of the model, the arrays to be joined along the batch axis, padded up to `rows` with its own."""
        groups = [list(group) for group in zip(*[exchange.inputs for exchange in self.exchanges], strict=True)]
        self.computed = max(rows, self.rows)
        if missing := self.computed - self.rows:
            for group in groups:
                group.append(np.resize(group[0], (missing, *group[0].shape[1:])))
        return groups

    def scatter(self, outputs: Sequence[NDArray[Any]]) -> Iterator[tuple[Exchange, Sequence[NDArray[Any]]]]:
        """Each exchange that still waits, with its own rows of every output. Raises ValueError if rows are missing."""
        for output in outputs:
            if output.ndim == 0 or len(output) != self.computed:
                raise ValueError(f"an output of shape {list(output.shape)} for {self.computed} rows")
        return self._scattered(outputs)

    def _scattered(self, outputs: Sequence[NDArray[Any]]) -> Iterator[tuple[Exchange, Sequence[NDArray[Any]]]]:
        start = 0
        only = outputs[0] if len(outputs) == 1 else None
        for exchange in self.exchanges:
            stop = start + exchange.rows
            if not exchange.ended:
                yield exchange, [only[start:stop]] if only is not None else [output[start:stop] for output in outputs]
            start = stop

    def alive(self) -> list[Exchange]:
        """The exchanges that somebody still waits for."""
        return [exchange for exchange in self.exchanges if not exchange.ended]

    def refuse(self, text: str) -> None:
        """The model can't compute these, for the reason that the text gives."""
        for exchange in self.exchanges:
            exchange.fail(BackendError(text))

    def halves(self) -> list["Batch"]:
        """What is still waited for, in two batches, to find out which half holds the offender."""
        alive = self.alive()
        middle = (len(alive) + 1) // 2
        return [Batch(half) for half in (alive[:middle], alive[middle:]) if half]


def alike(one: Exchange, other: Exchange) -> bool:
    """Whether two requests can be rows of one array: all dimensions but the first agree, input by input."""
    return all(a.shape[1:] == b.shape[1:] for a, b in zip(one.inputs, other.inputs, strict=True))
