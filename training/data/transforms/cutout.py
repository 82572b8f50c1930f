"""Images with a hole, so that no single part of them decides.

Source: T. DeVries, G. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", 2017,
arXiv 1708.04552.
"""

from dataclasses import dataclass

import torch

from training.data.transforms.transform import Pair, check_images


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """A square of each image is 0, its sides the `share` of the image's; near an edge part of it lies outside."""

    share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError("share: must be at least 0 and below 1")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Images [N, C, H, W]. Raises SettingsError for anything else."""
        check_images(inputs, "cutout")
        rows, columns = (self._covered(len(inputs), side, random) for side in inputs.shape[2:])
        hole = rows[:, None, :, None] & columns[:, None, None, :]
        return inputs.masked_fill(hole, 0), targets

    def _covered(self, count: int, side: int, random: torch.Generator) -> torch.Tensor:
        """Which places along one side the hole covers, bool [N, side]."""
        middle = torch.randint(side, (count, 1), generator=random)
        first = middle - round(self.share * side) // 2
        places = torch.arange(side)
        return (places >= first) & (places < first + round(self.share * side))
