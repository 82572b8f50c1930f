"""Choosing the next token."""

import math
import secrets
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from service.errors import BackendError

_FEW = 256
"""Tokens that are sorted at first."""
_COLD = 1e-5
"""Temperature below which there is no chance left."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How a token is chosen. `temperature` 0: always the likeliest. Else by chance, among the `top_k` likeliest (0: all
    of them) and among the fewest that have `top_p` of the probability. The same `seed` chooses the same; None: any.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(kw_only=True, slots=True)
class Sampler:
    """Owns the random numbers of one text."""

    sampling: Sampling
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        seed = self.sampling.seed
        self._random = np.random.default_rng(secrets.randbits(64) if seed is None else seed)

    def choose(self, logits: NDArray[np.floating]) -> int:
        """A token by its logits [vocabulary]. Raises BackendError where none of them is a number.

        Nucleus sampling (`top_p`): Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020. It runs on
        the event loop, so only those tokens are sorted that have to be.
        """
        sampling = self.sampling
        known = np.where(np.isnan(logits), np.float32(-np.inf), logits)
        best = int(np.argmax(known))
        if known[best] == -math.inf:
            raise BackendError("the decoder's logits are no numbers")
        if sampling.temperature < _COLD or known[best] == math.inf:
            return best
        tokens = self._likeliest(known, sampling.top_k)
        with np.errstate(over="ignore"):  # far below the likeliest: never chosen
            weights = np.exp((known[tokens] - known[best]) / np.float32(sampling.temperature))
        if sampling.top_p < 1:
            tokens, weights = _nucleus(tokens, weights, sampling.top_p)
        total = np.cumsum(weights, dtype=np.float64)
        place = int(np.searchsorted(total, self._random.random() * total[-1], side="right"))
        return int(tokens[min(place, len(tokens) - 1)])

    @staticmethod
    def _likeliest(known: NDArray[np.floating], top_k: int) -> NDArray[np.intp]:
        if not 0 < top_k < len(known):
            return np.arange(len(known))
        return np.sort(np.argpartition(-known, top_k - 1)[:top_k])


def _nucleus(
    tokens: NDArray[np.intp], weights: NDArray[np.floating], top_p: float
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """The fewest that have this share of the probability, the likeliest first: mostly few of many."""
    wanted, most = top_p * weights.sum(dtype=np.float64), len(tokens)
    count = min(_FEW, most)
    while True:
        first = np.argpartition(-weights, count - 1)[:count] if count < most else np.arange(most)
        first = first[np.argsort(-weights[first], kind="stable")]
        total = np.cumsum(weights[first], dtype=np.float64)
        kept = int(np.searchsorted(total, wanted)) + 1
        if kept <= count or count == most:
            chosen = first[:kept]
            return tokens[chosen], weights[chosen]
        count = min(16 * count, most)
