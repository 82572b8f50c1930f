"""Images moved by whole pixels."""

from dataclasses import dataclass

import torch

from training.data.transforms.transform import Pair, are_boxes, are_masks, check_images


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Each image moves up or down and left or right by at most `share` of its side; what comes in is 0.

    Masks and boxes move along; a box ends where the image does, and one that left it is none any more.
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError("share: must be at least 0 and below 1")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Images [N, C, H, W]. Raises SettingsError for anything else."""
        check_images(inputs, "shift")
        down, across = (self._draw(len(inputs), side, random) for side in inputs.shape[2:])
        if are_masks(targets):
            targets = _moved(targets[:, None], down, across)[:, 0]
        elif are_boxes(targets):
            targets = _boxes_moved(targets, down, across, inputs.shape)
        return _moved(inputs, down, across), targets

    def _draw(self, count: int, side: int, random: torch.Generator) -> torch.Tensor:
        most = int(self.share * side)
        return torch.randint(-most, most + 1, (count,), generator=random)


def _moved(images: torch.Tensor, down: torch.Tensor, across: torch.Tensor) -> torch.Tensor:
    """`images` [N, C, H, W], each moved by its pixels `down` and `across`, both int64 [N]."""
    height, width = images.shape[2:]
    rows = (torch.arange(height) - down[:, None])[:, :, None]  # [N, H, 1], where each comes from
    columns = (torch.arange(width) - across[:, None])[:, None, :]  # [N, 1, W]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    which = torch.arange(len(images))[:, None, None]
    taken = images[which, :, rows.clamp(0, height - 1), columns.clamp(0, width - 1)]  # [N, H, W, C]
    return taken.movedim(-1, 1) * inside[:, None]


def _boxes_moved(boxes: torch.Tensor, down: torch.Tensor, across: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    height, width = shape[2:]
    kind = boxes[..., :1]
    steps = torch.stack([across, down, across, down], dim=1)[:, None].to(boxes.dtype)  # [N, 1, 4]
    edges = (boxes[..., 1:] + steps).clamp(min=0).minimum(torch.tensor([width, height, width, height]))
    left = (edges[..., 2:] > edges[..., :2]).all(dim=-1, keepdim=True)
    moved = torch.cat([torch.where(left, kind, -1.0), torch.where(left, edges, 0.0)], dim=-1)
    return torch.where(kind < 0, boxes, moved)
