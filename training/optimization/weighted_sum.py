"""Sums of what was weighted, which become means once all parts of them are known."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WeightedSum:
    """`total` is a sum over things that together have the `weight`. Sums of parts add up to that of the whole."""

    total: float = 0.0
    weight: float = 0.0

    @classmethod
    def of(cls, mean: float, *, weight: float) -> "WeightedSum":
        """The sum that has this mean."""
        return cls(total=mean * (weight or 1.0), weight=weight)

    def __add__(self, other: "WeightedSum") -> "WeightedSum":
        """Of both parts."""
        return WeightedSum(total=self.total + other.total, weight=self.weight + other.weight)

    @property
    def divisor(self) -> float:
        """What makes a mean of the sum; of things without weight it stays the sum."""
        return self.weight or 1.0

    @property
    def mean(self) -> float:
        """The weighted mean."""
        return self.total / self.divisor
