"""How much do two answers to the same inputs differ? One measure for all trials, so that tolerances mean the same.

Floats are compared by the largest difference between two elements of an output, as a share of the largest expected
element of that output. That two answers differ by at most `t` says |found - expected| <= t * max(|expected|, FLOOR) for
every element, the maximum being the whole output's: a relative tolerance of `t` with an absolute one of `t * FLOOR`.
Relative to each element by itself it would measure noise wherever an answer is about zero.

Where an answer isn't finite, the other must be the same at the same place. Integers, booleans and texts are classes or
tokens, which have no "nearly": they are compared by the share of elements that differ.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEYOND = 1e9
"""More than any tolerance: the shapes differ, or only one of the answers is NaN or infinite somewhere."""
FLOOR = 1e-6
"""Outputs whose elements are all smaller than this are compared as if the largest were this."""


def difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """How much one output differs from what was expected: 0 for not at all, at most BEYOND."""
    if expected.shape != found.shape:
        return BEYOND
    if not expected.size:
        return 0.0
    if expected.dtype.kind != "f":
        return float(np.mean(expected != found))
    one, other = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True) or not np.isfinite(other[finite]).all():
        return BEYOND
    scale = max(float(np.abs(one[finite]).max(initial=0.0)), FLOOR)
    with np.errstate(over="ignore"):
        return min(float(np.abs(one[finite] / scale - other[finite] / scale).max(initial=0.0)), BEYOND)


def largest(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """The largest difference of any output; both have the same outputs in the same order."""
    return max((difference(one, other) for one, other in zip(expected, found, strict=True)), default=0.0)
