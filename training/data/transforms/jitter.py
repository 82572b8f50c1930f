"""How pictures of the same thing differ: turned, slanted, moved, nearer or farther, negative, faded, noisy."""

import math
from dataclasses import astuple, dataclass, fields

import torch
from torch.nn import functional

from service.errors import SettingsError
from training.data.transforms.transform import Pair, are_boxes, are_masks, check_images, typed


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """Bounds of a random change, drawn anew for each picture; all zero changes nothing.

    `rotation` in degrees either way; `slant` is a shear, `shift` and `scale` are shares of the side. `negative` is the
    share of pictures that are shown as negatives. `fade` is the largest share of the contrast that may be lost to an
    even grey, `noise` the largest standard deviation of what is added to each pixel, as a share of 255.
    """

    rotation: float = 0.0
    slant: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    negative: float = 0.0
    fade: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if min(astuple(self)) < 0:
            raise ValueError(f"{', '.join(field.name for field in fields(self))}: must not be below 0")
        if self.scale >= 1 or self.fade >= 1 or self.negative > 1:
            raise ValueError("scale, fade: must be below 1, or nothing of the picture is left; negative: is a share")

    def __call__(self, inputs: torch.Tensor, targets: torch.Tensor, random: torch.Generator) -> Pair:
        """Each of `inputs`, images uint8 [N, C, H, W], changed by its own draw; targets, labels, stay.

        Raises SettingsError for anything else.
        """
        check_images(inputs, "jitter")
        if are_masks(targets) or are_boxes(targets):
            raise SettingsError("jitter: moves images without their masks and boxes; use flip, shift, rotate and noise")
        seen = self._light(self._move(inputs.float(), random), random)
        return typed(seen, inputs), targets

    def _move(self, pixels: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        draws = torch.rand((5, len(pixels)), generator=random) * 2 - 1
        angle = draws[0] * math.radians(self.rotation)
        zoom = 1 + draws[1] * self.scale
        cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        # A side is 2 units long in the sampling grid, so a share of it is doubled.
        across, down = draws[2] * 2 * self.shift, draws[3] * 2 * self.shift
        rows = (cosine, draws[4] * self.slant - sine, across, sine, cosine, down)
        affine = torch.stack(rows, dim=1).view(-1, 2, 3)
        grid = functional.affine_grid(affine, list(pixels.shape), align_corners=False)
        moved: torch.Tensor = functional.grid_sample(pixels, grid, align_corners=False)
        return moved

    def _light(self, pixels: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        turned, lost, grey, spread = torch.rand((4, len(pixels), 1, 1, 1), generator=random)
        lost = lost * self.fade
        pixels = torch.where(turned < self.negative, 255.0 - pixels, pixels)
        faded = pixels * (1 - lost) + grey * 255.0 * lost
        noise = torch.randn(pixels.shape, generator=random) * (spread * self.noise * 255.0)
        lit: torch.Tensor = faded + noise
        return lit
