"""The batches of an epoch: shuffled and changed by chance, the same whenever seed and epoch are the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch

from training.data.jitter import Jitter
from training.data.split import Images, Split


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`images` uint8 [N, C, H, W] and `labels` int64 [N]."""

    images: torch.Tensor
    labels: torch.Tensor


class Batches:
    """The training part, handed out epoch by epoch. Holds no state between epochs, so a resumed run sees the same."""

    def __init__(self, split: Split, *, size: int, jitter: Jitter, seed: int) -> None:
        self._images = torch.from_numpy(split.images)
        self._labels = torch.from_numpy(split.labels)
        self._size = size
        self._jitter = jitter
        self._seed = seed

    def __len__(self) -> int:
        """Batches an epoch. A last batch that isn't full is left out: batch normalisation dislikes a batch of one."""
        return max(1, len(self._labels) // self._size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0."""
        random = torch.Generator().manual_seed(self._seed * 1_000_003 + number)
        order = torch.randperm(len(self._labels), generator=random)
        for index in range(len(self)):
            chosen = order[index * self._size : (index + 1) * self._size]
            yield Batch(images=self._jitter(self._images[chosen], random), labels=self._labels[chosen])

    def first(self, count: int) -> Iterator[Batch]:
        """As many batches of epoch 0 as hold `count` images, or all of them."""
        return islice(self.epoch(0), -(-count // self._size))

    def sample(self, count: int) -> Images:
        """The first `count` images of epoch 0, or all of them: uint8 [N, C, H, W], changed as training sees them."""
        return torch.cat([batch.images for batch in self.first(count)]).numpy()[:count]


def plain_batches(split: Split, size: int) -> Iterator[Batch]:
    """Every image of `split` once, in order and unchanged, `size` at a time."""
    for start in range(0, len(split), size):
        part = slice(start, start + size)
        yield Batch(images=torch.from_numpy(split.images[part]), labels=torch.from_numpy(split.labels[part]))
