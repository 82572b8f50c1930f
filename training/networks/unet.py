"""A segmenting network: a class for each pixel, by what is around it and by what is right there.

The image is made smaller until little of it is left to look at, and larger again; on the way back each size is given
what the same size looked like on the way in.

Source: O. Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015,
arXiv 1505.04597.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from training.networks.checks import check_counts, check_pixels
from training.networks.layers import conv_norm, initialise, scaled_pixels


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """All there is to know to build the network, weights apart.

    Each of `widths` but the first halves the image, whose sides are `size` pixels. `classes` are those of a pixel, the
    background among them. `mean` and `deviation` are those of the training pixels, as shares of 255.
    """

    widths: tuple[int, ...] = (16, 32, 64)
    channels: int = 1
    classes: int = 2
    size: int = 64
    mean: float = 0.5
    deviation: float = 0.5

    def __post_init__(self) -> None:
        check_counts(widths=min(self.widths, default=0), channels=self.channels, classes=self.classes, size=self.size)
        check_pixels(self.deviation)
        halved = 2 ** (len(self.widths) - 1)
        if self.size % halved:
            raise ValueError(f"size: must be a multiple of {halved}, for each of widths but the first halves it")


class UNet(nn.Module):
    """Raw pixels to logits of each pixel. `config` is what it was built from."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.inwards = nn.ModuleList(
            _pair(inputs, width) for inputs, width in zip((config.channels, *widths), widths, strict=False)
        )
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), *conv_norm(wide, width), nn.ReLU())
            for width, wide in pairwise(widths)
        )
        self.outwards = nn.ModuleList(_pair(2 * width, width) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], config.classes, 1)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, channels, size, size] to logits float32 [N, classes, size, size]."""
        x = scaled_pixels(images, self.config.mean, self.config.deviation)
        seen = []
        for stage, pair in enumerate(self.inwards):
            x = pair(functional.max_pool2d(x, 2) if stage else x)
            seen.append(x)
        for narrow, pair, same in reversed(list(zip(self.narrow, self.outwards, seen, strict=False))):
            x = pair(torch.cat([same, narrow(x)], dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions, [N, inputs, H, W] to [N, outputs, H, W]."""
    return nn.Sequential(conv_norm(inputs, outputs), nn.ReLU(), conv_norm(outputs, outputs), nn.ReLU())
