"""What a language model has to beat: counts of what followed what, smoothed as well as counts can be.

Interpolated Kneser-Ney: the probability of a token after the last few is its count less a discount, and what all
discounts free goes to the same question after fewer tokens. Below the highest order a token counts by how many
different tokens it followed, not by how often it stands.

Source: S. F. Chen, J. Goodman, "An Empirical Study of Smoothing Techniques for Language Modeling", 1999.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from training.data.tokens import Ids

Tokens = tuple[int, ...]


class NGram:
    """Counts of up to `order` tokens in a row in `texts`, and what they say of a text."""

    def __init__(self, texts: Iterable[Ids], *, order: int, vocabulary: int) -> None:
        if order < 1:
            raise ValueError("order: must be at least 1")
        self.order = order
        self._vocabulary = vocabulary
        # By length: how often a row of tokens counts.
        self._counts: list[Counter[Tokens]] = [Counter() for _ in range(order)]
        for ids in texts:
            self._read(ids.tolist())
        for length in range(order - 1, 0, -1):
            # Nothing precedes the first token of a text, so rows that begin there keep their own count.
            self._counts[length - 1].update(row[1:] for row in self._counts[length])
        self._discounts = [_discount(counts) for counts in self._counts]
        self._totals, self._kinds = self._sums()

    def probability(self, token: int, before: Sequence[int]) -> float:
        """The probability of `token` after `before`, of which the last `order` - 1 tokens are looked at."""
        found = 1.0 / self._vocabulary
        for length in range(min(self.order, len(before) + 1)):
            history = tuple(before[len(before) - length :])
            total = self._totals[length].get(history)
            if total is None:
                break  # never seen, so nothing longer was either
            count, discount = self._counts[length][*history, token], self._discounts[length]
            freed = discount * self._kinds[length][history] / total
            found = max(count - discount, 0.0) / total + freed * found
        return found

    def nats(self, ids: Ids) -> float:
        """What every token of `ids` but the first costs, in all: minus the logarithms of their probabilities."""
        tokens = ids.tolist()
        history = self.order - 1
        return -sum(
            math.log(self.probability(token, tokens[max(0, at - history) : at]))
            for at, token in enumerate(tokens)
            if at
        )

    def _read(self, tokens: list[int]) -> None:
        for end in range(1, len(tokens)):
            length = min(end + 1, self.order)
            self._counts[length - 1][tuple(tokens[end + 1 - length : end + 1])] += 1

    def _sums(self) -> tuple[list[dict[Tokens, int]], list[dict[Tokens, int]]]:
        """By length and history: the sum of all counts behind it, and how many different tokens those are."""
        totals: list[dict[Tokens, int]] = []
        kinds: list[dict[Tokens, int]] = []
        for counts in self._counts:
            total, kind = defaultdict[Tokens, int](int), defaultdict[Tokens, int](int)
            for row, count in counts.items():
                total[row[:-1]] += count
                kind[row[:-1]] += 1
            totals.append(dict(total))
            kinds.append(dict(kind))
        return totals, kinds


def best_ngram(train: Sequence[Ids], validation: Sequence[Ids], *, orders: Sequence[int], vocabulary: int) -> NGram:
    """Of the `orders` the one that does best on the validation texts."""
    models = [NGram(train, order=order, vocabulary=vocabulary) for order in orders]
    return min(models, key=lambda model: sum(model.nats(ids) for ids in validation))


def _discount(counts: Counter[Tokens]) -> float:
    """What every count is lowered by: Chen and Goodman's estimate from those that were seen once and twice."""
    once = sum(count == 1 for count in counts.values())
    twice = sum(count == 2 for count in counts.values())
    return once / (once + 2 * twice) if once else 0.5
