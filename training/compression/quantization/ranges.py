"""The range of an activation from what it was seen to be: all of it, or without values that few inputs have."""

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
Counts = NDArray[np.int64]

BINS = 4096
LEVELS = 256
"""Values that an activation can have once it is an integer."""
CANDIDATES = 128
UNSEEN = 1e-4
"""The share of one value that a bin without any is given, lest a logarithm be infinite."""


def percentile_range(counts: Counts, extremes: Range, percentile: float) -> Range:
    """What is left of `extremes` when as many values are cut off on either side as keep `percentile` of all.

    `counts` int64 [BINS] is the histogram of the values between the extremes. Both ends are at edges of bins.
    """
    edges = np.linspace(*extremes, len(counts) + 1)
    below = np.cumsum(counts)
    cut = (1 - percentile / 100) / 2 * below[-1]
    low = int(np.searchsorted(below, cut, side="right"))
    high = int(np.searchsorted(below, below[-1] - cut, side="left"))
    return float(edges[low]), float(edges[high + 1])


def entropy_range(counts: Counts, extremes: Range) -> Range:
    """`extremes`, cut at the same distance from zero on either side so that the least is lost by rounding to integers.

    That is the distance at which the distribution of `counts` [BINS] between the extremes, what lies beyond counted
    at the ends, and that of its 256 levels diverge least.

    Source: S. Migacz, "8-bit inference with TensorRT", GTC 2017.
    """
    edges = np.linspace(*extremes, len(counts) + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    best, least = extremes, np.inf
    for share in np.arange(CANDIDATES, 0, -1) / CANDIDATES:
        furthest = share * np.abs(edges[[0, -1]]).max()
        inside = np.flatnonzero(np.abs(centres) <= furthest)
        if len(inside) < LEVELS:
            break
        first, last = inside[0], inside[-1] + 1
        lost = _divergence(counts, first, last)
        if lost < least:
            best, least = (float(edges[first]), float(edges[last])), lost
    return best


def _divergence(counts: Counts, first: np.intp, last: np.intp) -> float:
    """Kullback and Leibler's, of a histogram cut at two bins from the same rounded to as many levels as integers have.

    A level's values are spread evenly over those of its bins that hold any.
    """
    kept = counts[first:last].astype(np.float64)
    reference = kept.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last:].sum()
    level = np.arange(len(kept)) * LEVELS // len(kept)
    filled = kept > 0
    sums = np.bincount(level, kept, LEVELS)
    bins = np.bincount(level, filled, LEVELS)
    rounded = np.where(filled, sums[level] / np.maximum(bins[level], 1), UNSEEN)
    reference = np.where(reference > 0, reference, UNSEEN)
    reference /= reference.sum()
    return float((reference * np.log(reference / (rounded / rounded.sum()))).sum())
