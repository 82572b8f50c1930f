"""The contract of all changes, and what kinds of targets they may have to change along."""

from typing import Protocol, TypeAlias

import torch

from service.errors import SettingsError

Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]
"""Inputs [N, ...] and targets [N, ...] of one batch."""


class Transform(Protocol):
    """A change of a batch; what is left to chance, the generator decides."""

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Inputs and targets changed; those that came in stay as they are.

        Raises SettingsError if they are of a kind that can't be changed so.
        """
        ...


def typed(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`values` in the type of `like`; as pixels, rounded and within 0..255, where that is uint8."""
    return values.round().clamp(0, 255).to(torch.uint8) if like.dtype == torch.uint8 else values.to(like.dtype)


def check_images(inputs: torch.Tensor, name: str) -> None:
    """Raise SettingsError, by the `name` of the transform, unless these are images [N, C, H, W]."""
    if inputs.dim() != 4:
        raise SettingsError(f"{name}: is for images, [N, C, H, W], and these inputs are {list(inputs.shape)}")


def are_masks(targets: torch.Tensor) -> bool:
    """True for masks int64 [N, H, W]."""
    return targets.dim() == 3 and not targets.is_floating_point()


def are_boxes(targets: torch.Tensor) -> bool:
    """True for boxes float32 [N, M, 5]: class, x0, y0, x1, y1."""
    return targets.dim() == 3 and targets.is_floating_point() and targets.shape[2] == 5
