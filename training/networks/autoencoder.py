"""A convolutional autoencoder: an image through a narrow code and back. What it can't rebuild, it has not seen before.

Source: G. Hinton, R. Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", Science 2006. It grows
images by repeating pixels before a convolution (A. Odena et al., "Deconvolution and Checkerboard Artifacts", 2016).
"""

from dataclasses import dataclass

import torch
from torch import nn

from training.networks.checks import check_counts
from training.networks.layers import conv_norm, initialise, scaled_pixels


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """All there is to know to build the network, weights apart.

    Each of `widths` halves the image, whose sides are `size` pixels; `code` is how many numbers it goes through.
    """

    widths: tuple[int, ...] = (32, 64)
    code: int = 32
    channels: int = 1
    size: int = 16

    def __post_init__(self) -> None:
        check_shape(self.widths, self.code, self.channels, self.size)


class Autoencoder(nn.Module):
    """Raw pixels to the same as far as the code tells. `config` is what it was built from."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = contracting(config.widths, config.code, channels=config.channels, size=config.size)
        self.decoder = expanding(config.widths, config.code, channels=config.channels, size=config.size)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, channels, size, size] to their reconstruction, float32 in [0, 1], shares of 255."""
        pixels: torch.Tensor = self.decoder(self.encode(images))
        return pixels

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, channels, size, size] to codes float32 [N, code]."""
        code: torch.Tensor = self.encoder(scaled_pixels(images, 0.5, 0.5))
        return code


def check_shape(widths: tuple[int, ...], code: int, channels: int, size: int) -> None:
    """Raise ValueError unless each of `widths` can halve an image of this `size`."""
    check_counts(widths=min(widths, default=0), code=code, channels=channels, size=size)
    if size % 2 ** len(widths):
        raise ValueError(f"size: must be a multiple of {2 ** len(widths)}, for each of {len(widths)} widths halves it")


def contracting(widths: tuple[int, ...], outputs: int, *, channels: int, size: int) -> nn.Sequential:
    """Scaled pixels [N, channels, size, size] to [N, outputs]; each of `widths` halves the image."""
    layers = nn.Sequential()
    for inputs, width in zip((channels, *widths), widths, strict=False):
        layers.append(conv_norm(inputs, width, stride=2)).append(nn.ReLU())
    side = size >> len(widths)
    return layers.append(nn.Flatten()).append(nn.Linear(widths[-1] * side**2, outputs))


def expanding(widths: tuple[int, ...], inputs: int, *, channels: int, size: int) -> nn.Sequential:
    """The way back: [N, inputs] to pixels [N, channels, size, size] in [0, 1]."""
    side = size >> len(widths)
    layers = nn.Sequential(
        nn.Linear(inputs, widths[-1] * side**2), nn.Unflatten(1, (widths[-1], side, side)), nn.ReLU()
    )
    downwards = widths[::-1]
    for width, narrower in zip(downwards, (*downwards[1:], downwards[-1]), strict=True):
        layers.append(nn.Upsample(scale_factor=2)).append(conv_norm(width, narrower)).append(nn.ReLU())
    return layers.append(nn.Conv2d(downwards[-1], channels, 3, padding=1)).append(nn.Sigmoid())
