"""What bare ONNX Runtime can do at its best batch size, and the share of it that a service reaches."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Protocol


class Measured(Protocol):
    """A round of a bench, which is a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def throughput(self) -> float:
        """Rows per second through the service."""

    @property
    def raw_rates(self) -> Mapping[int, float]:
        """Rows per second of the runtime by batch size."""


def best_batch(rates: Sequence[Mapping[int, float]]) -> int:
    """The batch size with the highest median rate over all rounds.

    The best of each round would be that round's luck: of three equal sizes whose rates scatter by a tenth, the highest
    is 8 % above the truth on average.
    """
    return max(rates[0], key=lambda size: statistics.median(each[size] for each in rates))


def against(rounds: Sequence[Measured]) -> tuple[list[dict[str, Any]], list[float]]:
    """The figures of each round, `raw_rate` at `raw_batch` among them, and the service's share of that rate."""
    best = best_batch([one.raw_rates for one in rounds])
    figures = [
        asdict(one)
        | {"raw_rates": {str(size): rate for size, rate in one.raw_rates.items()}}
        | {"raw_batch": best, "raw_rate": one.raw_rates[best]}
        for one in rounds
    ]
    return figures, [one.throughput / one.raw_rates[best] for one in rounds]
