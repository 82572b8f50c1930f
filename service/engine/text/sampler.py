"""Choosing the next token."""

import math
import secrets
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


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
        """A token by its logits [vocabulary], of which what isn't finite is never chosen, if anything else can be.

        Nucleus sampling (`top_p`): Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020.
        """
        sampling = self.sampling
        finite = np.where(np.isfinite(logits), logits, -math.inf).astype(np.float64)
        if not sampling.temperature or not np.isfinite(finite).any():
            return int(np.argmax(finite))
        order = np.argsort(-finite, kind="stable")[: sampling.top_k or None]
        scaled = (finite[order] - finite[order[0]]) / sampling.temperature
        weights = np.exp(scaled)
        shares = weights / weights.sum()
        kept = int(np.searchsorted(np.cumsum(shares), sampling.top_p)) + 1 if sampling.top_p < 1 else len(shares)
        shares = shares[:kept] / shares[:kept].sum()
        return int(order[self._random.choice(len(shares), p=shares)])
