"""Images seen in a mirror."""

from dataclasses import dataclass

import torch

from training.data.transforms.transform import Pair, are_boxes, are_masks, check_images


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A `share` of the images is flipped, left to right or, if `vertical`, upside down; masks and boxes with them."""

    share: float = 0.5
    vertical: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError("share: must be between 0 and 1")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Images [N, C, H, W]. Raises SettingsError for anything else."""
        check_images(inputs, "flip")
        axis = -2 if self.vertical else -1
        chosen = torch.rand(len(inputs), generator=random) < self.share
        flipped = torch.where(chosen[:, None, None, None], inputs.flip(axis), inputs)
        if are_masks(targets):
            targets = torch.where(chosen[:, None, None], targets.flip(axis), targets)
        elif are_boxes(targets):
            targets = torch.where(chosen[:, None, None], self._mirrored(targets, inputs.shape[axis]), targets)
        return flipped, targets

    def _mirrored(self, boxes: torch.Tensor, side: int) -> torch.Tensor:
        kind, x0, y0, x1, y1 = boxes.unbind(dim=-1)
        if self.vertical:
            y0, y1 = side - y1, side - y0
        else:
            x0, x1 = side - x1, side - x0
        # Where there is no box, what stands in its place is left alone.
        return torch.where(kind[..., None] < 0, boxes, torch.stack([kind, x0, y0, x1, y1], dim=-1))
