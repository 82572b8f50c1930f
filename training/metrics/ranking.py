"""How well scores put what is looked for before the rest, at every threshold.

Scores are sorted once; a draw of the bootstrap then only says how often each counts. torchmetrics sorts every draw
anew, which took seven times as long.
"""

import numpy as np
from numpy.typing import NDArray

from training.bootstrap import Indices
from training.statistics import Values, numbered

MOST_POINTS = 60
"""Of a curve that is drawn: more can't be told apart in a plot of a page's width."""


class Ranking:
    """Scores [N], the higher the rather what is looked for, and which of them `wanted` [N] says are it."""

    def __init__(self, scores: NDArray[np.floating], wanted: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        self._wanted = wanted[self._order]
        # Equal scores are one step of the curve: where each begins, and where all end.
        ranks = numbered(-scores)[self._order]
        self._steps = np.flatnonzero(np.diff(ranks, prepend=-1))

    def areas(self, chosen: Indices) -> Values:
        """Under the ROC curve and average precision, [2], of the scores at `chosen` positions.

        NaN if nothing of them is wanted, or everything. Equal scores are worth half a pair in the first; the second is
        the mean of the precision at each that is wanted, without interpolation. Sources: J. A. Hanley, B. J. McNeil,
        Radiology 143 (1982); scikit-learn's `average_precision_score`.
        """
        counts = np.bincount(chosen, minlength=len(self._order))[self._order]
        right = np.add.reduceat(counts * self._wanted, self._steps)
        all_right, all_wrong = right.sum(), len(chosen) - right.sum()
        if not all_right or not all_wrong:
            return np.full(2, np.nan)
        wrong = np.add.reduceat(counts, self._steps) - right
        behind = all_wrong - np.cumsum(wrong) + wrong / 2
        before, hits = np.cumsum(right + wrong), np.cumsum(right)
        precision = (right * hits / np.maximum(before, 1)).sum() / all_right
        return np.array([(right * behind).sum() / all_right / all_wrong, precision])

    def curve(self) -> tuple[tuple[float, float], ...]:
        """The ROC curve: shares of false alarms and of hits at falling thresholds, from (0, 0) to (1, 1).

        Of many points those are left that lie about equally far apart along it. Source: T. Fawcett, "An introduction to
        ROC analysis", Pattern Recognition Letters 27 (2006). Both kinds must be there.
        """
        right = np.add.reduceat(self._wanted.astype(np.int64), self._steps)
        counts = np.diff(self._steps, append=len(self._wanted))
        points = np.stack([np.cumsum(counts - right), np.cumsum(right)], axis=1)
        points = np.vstack([np.zeros((1, 2)), points / points[-1]])
        chosen = np.arange(len(points))
        if len(points) > MOST_POINTS:
            places = np.linspace(0, 2, MOST_POINTS)[:-1]  # a way from corner to corner is 2 long
            chosen = np.unique(np.append(np.searchsorted(points.sum(axis=1), places), len(points) - 1))
        return tuple((round(float(x), 4), round(float(y), 4)) for x, y in points[chosen])
