"""Texts with gaps, so that no single word decides.

Source: M. Iyyer et al., "Deep Unordered Composition Rivals Syntactic Methods for Text Classification", 2015 (word
dropout).
"""

from dataclasses import dataclass

import torch

from service.errors import SettingsError
from training.data.transforms.transform import Pair

PADDING = 0


@dataclass(frozen=True, kw_only=True)
class TokenDropout:
    """A `share` of the tokens is exchanged for `token`, one that the vocabulary has for what isn't known."""

    token: int
    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1 or self.token < 0:
            raise ValueError("share: must be at least 0 and below 1; token: must not be below 0")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Ids int64 [N, T]; padding stays. Raises SettingsError for anything else."""
        if inputs.dtype != torch.int64:
            raise SettingsError("token_dropout: is for ids of tokens, int64 [N, T]")
        lost = torch.rand(inputs.shape, generator=random) < self.share
        return torch.where(lost & (inputs != PADDING), self.token, inputs), targets
