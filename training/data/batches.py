"""The batches of an epoch: shuffled and changed by chance, the same whenever seed and epoch are the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from training.data.split import Array, Split
from training.data.transforms.transform import Transform


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`inputs` [N, ...] and `targets` [N, ...], as a `Split` has them."""

    inputs: torch.Tensor
    targets: torch.Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on `device`."""
        return Batch(inputs=self.inputs.to(device), targets=self.targets.to(device))


class Epochs(Protocol):
    """A training part, handed out epoch by epoch, always the same whenever `seed` and epoch are the same."""

    @property
    def seed(self) -> int:
        """What decides all chance."""
        ...

    def __len__(self) -> int:
        """Batches an epoch."""
        ...

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0."""
        ...

    def plain(self, count: int) -> Split:
        """`count` examples by chance, or all of them, always the same ones, and nothing done to them."""
        ...


class Batches:
    """The training part, handed out epoch by epoch. Holds no state between epochs, so a resumed run sees the same."""

    def __init__(self, split: Split, *, size: int, transforms: Sequence[Transform], seed: int) -> None:
        self._split = split
        self._inputs = torch.from_numpy(split.inputs)
        self._targets = torch.from_numpy(split.targets)
        self._size = size
        self._transforms = transforms
        self.seed = seed

    def __len__(self) -> int:
        """Batches an epoch. A last batch that isn't full is left out: batch normalisation dislikes a batch of one."""
        return max(1, len(self._targets) // self._size)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`, counted from 0."""
        random = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        order = torch.randperm(len(self._targets), generator=random)
        for index in range(len(self)):
            chosen = order[index * self._size : (index + 1) * self._size]
            inputs, targets = self._inputs[chosen], self._targets[chosen]
            for transform in self._transforms:
                inputs, targets = transform(inputs, targets, random)
            yield Batch(inputs=inputs, targets=targets)

    def plain(self, count: int) -> Split:
        """`count` examples by chance, or all of them, always the same ones, and nothing done to them."""
        return self._split.take(sample(len(self._split), count, self.seed))

    def first(self, count: int) -> Iterator[Batch]:
        """As many batches of epoch 0 as hold `count` inputs, or all of them."""
        return islice(self.epoch(0), -(-count // self._size))

    def sample(self, count: int) -> Array:
        """The first `count` inputs of epoch 0, or all of them, [N, ...], changed as training sees them."""
        return torch.cat([batch.inputs for batch in self.first(count)]).numpy()[:count]


def sample(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """`count` of the numbers below `total`, or all of them, int64 [count] in ascending order."""
    return np.sort(np.random.default_rng(seed).permutation(total)[:count])


def plain_batches(split: Split, size: int) -> Iterator[Batch]:
    """Every input of `split` once, in order and unchanged, `size` at a time."""
    for start in range(0, len(split), size):
        part = slice(start, start + size)
        yield Batch(inputs=torch.from_numpy(split.inputs[part]), targets=torch.from_numpy(split.targets[part]))
