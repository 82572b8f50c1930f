"""How far the answers of a compressed model are from those of its original: output by output, on the same samples."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import ArtifactError
from training.session import Tensors

Model = Callable[[Tensors], Tensors]
"""Inputs [N, ...] by their names to outputs, whatever computes them."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """One output on all samples.

    `largest_error` is the largest difference in a number, `relative_error` the root of the squares of all differences
    to that of the squares of the original's numbers, and `sqnr_db` the same in decibels: 20 is a tenth, 40 a hundredth.
    `unlike` numbers are NaN or infinite in one model and not the same in the other: they are in no other figure.
    `agreement` is the share of answers whose most probable class is the same, None where there are no classes, and
    `differing` that of numbers which aren't the same where they are whole ones, as ids are, else None.
    """

    numbers: int
    largest_error: float
    relative_error: float
    sqnr_db: float
    unlike: int
    agreement: float | None
    differing: float | None


def parity(
    original: Model, compressed: Model, samples: Tensors, *, classes: Mapping[str, int] | None = None, batch: int = 32
) -> dict[str, Parity]:
    """Compare two models output by output on `samples` [N, ...], so many at a time.

    `classes` names those outputs that tell classes apart, each with the axis that its classes are on. Raises
    ArtifactError if the outputs differ in name or shape, or there are no samples.
    """
    tallies: dict[str, _Tally] = {}
    for inputs in _batches(samples, batch):
        expected, found = original(inputs), compressed(inputs)
        if set(expected) != set(found):
            raise ArtifactError(f"outputs are {', '.join(sorted(found))}, expected {', '.join(sorted(expected))}")
        for name, wanted in expected.items():
            if wanted.shape != found[name].shape:
                raise ArtifactError(f"{name}: shape {found[name].shape}, expected {wanted.shape}")
            tallies.setdefault(name, _Tally((classes or {}).get(name))).add(wanted, found[name])
    if not tallies:
        raise ArtifactError("there are no samples to compare the models on: give at least one")
    return {name: tally.parity() for name, tally in tallies.items()}


class _Tally:
    """Sums over batches of one output, whose classes are on `axis`."""

    def __init__(self, axis: int | None) -> None:
        self._axis = axis
        self._largest = self._signal = self._noise = 0.0
        self._numbers = self._unlike = self._answers = self._agreed = self._same = 0
        self._whole = True

    def add(self, wanted: NDArray[Any], found: NDArray[Any]) -> None:
        first, second = wanted.astype(np.float64), found.astype(np.float64)
        usable = np.isfinite(first) & np.isfinite(second)
        same = (first == second) | (np.isnan(first) & np.isnan(second))
        self._numbers += first.size
        self._same += int(same.sum())
        self._whole &= wanted.dtype.kind in "biu"
        self._unlike += int((~usable & ~same).sum())
        apart = second[usable] - first[usable]
        self._largest = max(self._largest, float(np.abs(apart).max(initial=0.0)))
        self._signal += float((first[usable] ** 2).sum())
        self._noise += float((apart**2).sum())
        if self._axis is not None:
            agreed = first.argmax(axis=self._axis) == second.argmax(axis=self._axis)
            self._answers += agreed.size
            self._agreed += int(agreed.sum())

    def parity(self) -> Parity:
        share = self._noise / self._signal if self._signal else (np.inf if self._noise else 0.0)
        return Parity(
            numbers=self._numbers,
            largest_error=self._largest,
            relative_error=float(np.sqrt(share)),
            sqnr_db=float(-10 * np.log10(share)) if share else np.inf,
            unlike=self._unlike,
            agreement=None if self._axis is None else self._agreed / self._answers,
            differing=1 - self._same / self._numbers if self._whole and self._numbers else None,
        )


def _batches(samples: Tensors, batch: int) -> Iterator[Tensors]:
    count = min((len(array) for array in samples.values()), default=0)
    for start in range(0, count, batch):
        yield {name: array[start : start + batch] for name, array in samples.items()}
