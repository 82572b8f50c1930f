"""Images turned about their middle."""

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from service.errors import SettingsError
from training.data.transforms.transform import Pair, are_boxes, are_masks, check_images, typed


@dataclass(frozen=True, kw_only=True)
class Rotate:
    """Each image turns by its own angle, at most `degrees` either way; what comes in is 0. Masks turn along."""

    degrees: float = 15.0

    def __post_init__(self) -> None:
        if not 0 <= self.degrees <= 180:
            raise ValueError("degrees: must be between 0 and 180")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Square images [N, C, S, S]. Raises SettingsError for anything else, and for boxes: their edges can't turn."""
        check_images(inputs, "rotate")
        if are_boxes(targets):
            raise SettingsError("rotate: boxes can't be turned with their image; use flip and shift")
        angles = (torch.rand(len(inputs), generator=random) * 2 - 1) * math.radians(self.degrees)
        if are_masks(targets):
            targets = _turned(targets[:, None].float(), angles, mode="nearest")[:, 0].to(targets.dtype)
        return typed(_turned(inputs.float(), angles, mode="bilinear"), inputs), targets


def _turned(images: torch.Tensor, angles: torch.Tensor, *, mode: str) -> torch.Tensor:
    cosine, sine, none = torch.cos(angles), torch.sin(angles), torch.zeros_like(angles)
    affine = torch.stack([cosine, -sine, none, sine, cosine, none], dim=1).view(-1, 2, 3)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode=mode, align_corners=False)
