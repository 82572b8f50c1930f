"""The batches of an epoch: shuffled and slightly changed, the same for the same seed and epoch whatever came before."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional

from training.data.split import Split


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`images` uint8 [N, C, H, W] and `labels` int64 [N]."""

    images: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """Bounds of a random affine change: `rotation` in degrees, `shift` and `scale` as shares of the image's side."""

    rotation: float
    shift: float
    scale: float

    def __call__(self, images: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Each of `images` uint8 [N, C, H, W] turned, moved and scaled by its own draw; same shape and dtype."""
        draws = torch.rand((4, len(images)), generator=random) * 2 - 1
        angle = draws[0] * math.radians(self.rotation)
        zoom = 1 + draws[1] * self.scale
        cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        # A side is 2 units long in the sampling grid, so a share of it is doubled.
        rows = (cosine, -sine, draws[2] * 2 * self.shift, sine, cosine, draws[3] * 2 * self.shift)
        affine = torch.stack(rows, dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
        moved = functional.grid_sample(images.float(), grid, align_corners=False)
        return moved.round().clamp(0, 255).to(torch.uint8)


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


def plain_batches(split: Split, size: int) -> Iterator[Batch]:
    """Every image of `split` once, in order and unchanged, `size` at a time."""
    for start in range(0, len(split), size):
        part = slice(start, start + size)
        yield Batch(images=torch.from_numpy(split.images[part]), labels=torch.from_numpy(split.labels[part]))
