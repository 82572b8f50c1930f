"""What a language model learns from: a stream of tokens, cut into windows of one length.

Inputs are windows of ids int64 [N, T], targets the same windows one token later: what follows each.
"""

import math
from collections.abc import Iterator

import numpy as np
import torch

from training.data.batches import Batch, sample
from training.data.split import Split
from training.data.tokens import Ids


class Windows:
    """The training part, cut anew in every epoch. Holds no state between epochs, so a resumed run sees the same.

    A share `noise` of the tokens that a network sees, but not of those it has to foretell, are exchanged for others of
    the stream: what smoothing is to counts, and what keeps a network from learning a short text by heart.

    Source: Z. Xie et al., "Data Noising as Smoothing in Neural Network Language Models", 2017, arXiv 1703.02573.
    """

    def __init__(self, ids: Ids, *, length: int, size: int, noise: float, seed: int) -> None:
        self._ids = torch.from_numpy(ids)
        self._length = length
        self._size = size
        self._noise = noise
        self.seed = seed
        self._windows = (len(ids) - length) // length
        if self._windows < 1:
            raise ValueError(f"{len(ids)} tokens are too few for windows of {length}")

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(self._windows / self._size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0: the stream cut from another place, the windows shuffled."""
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        offset = int(torch.randint(self._length, (), generator=chance))
        starts = offset + self._length * torch.randperm(self._windows, generator=chance)
        for first in range(0, self._windows, self._size):
            places = starts[first : first + self._size, None] + torch.arange(self._length)
            yield Batch(inputs=self._noisy(self._ids[places], chance), targets=self._ids[places + 1])

    def plain(self, count: int) -> Split:
        """`count` windows by chance, or all of them, always the same ones, without noise."""
        return held_out(self._ids.numpy(), self._length).take(sample(self._windows, count, self.seed))

    def _noisy(self, ids: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
        others = self._ids[torch.randint(len(self._ids), ids.shape, generator=chance)]
        return torch.where(torch.rand(ids.shape, generator=chance) < self._noise, others, ids)


def held_out(ids: Ids, length: int) -> Split:
    """A stream in windows that don't overlap, in order; what is left at its end is left out."""
    count = (len(ids) - 1) // length
    if count < 1:
        raise ValueError(f"{len(ids)} tokens are too few for windows of {length}")
    seen = ids[: count * length].reshape(count, length)
    following = ids[1 : count * length + 1].reshape(count, length)
    return Split(inputs=seen, targets=following, sources=np.arange(count))
