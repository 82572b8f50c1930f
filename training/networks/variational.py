"""A variational autoencoder: codes are drawn, and those of all images together look like noise, so noise makes images.

Source: D. Kingma, M. Welling, "Auto-Encoding Variational Bayes", 2014, arXiv 1312.6114.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn

from training.networks.autoencoder import check_shape, contracting, expanding
from training.networks.layers import initialise, scaled_pixels

NARROWEST, WIDEST = -10.0, 10.0
"""Bounds of a logarithm of a variance: beyond them its exponential is no use to anyone."""


@dataclass(frozen=True, kw_only=True)
class VariationalConfig:
    """All there is to know to build the network, weights apart.

    Each of `widths` halves the image, whose sides are `size` pixels; `code` is how many numbers it goes through.
    """

    widths: tuple[int, ...] = (32, 64)
    code: int = 16
    channels: int = 1
    size: int = 16

    def __post_init__(self) -> None:
        check_shape(self.widths, self.code, self.channels, self.size)


class Reconstruction(NamedTuple):
    """`pixels` float32 [N, channels, size, size] in [0, 1] of codes that were drawn about `mean` [N, code].

    `log_variance` [N, code] is the logarithm of how far about it.
    """

    pixels: torch.Tensor
    mean: torch.Tensor
    log_variance: torch.Tensor


class Variational(nn.Module):
    """Raw pixels and noise to a reconstruction. `config` is what it was built from.

    `decoder` alone is what makes images, out of noise [N, code], and the same out of the same.
    """

    def __init__(self, config: VariationalConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = contracting(config.widths, 2 * config.code, channels=config.channels, size=config.size)
        self.decoder = expanding(config.widths, config.code, channels=config.channels, size=config.size)
        initialise(self)

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> Reconstruction:
        """Pixels uint8 [N, channels, size, size] rebuilt from codes that `noise` float32 [N, code] draws.

        `noise` is standard normal while training; zeros take the middle of what might be drawn.
        """
        mean, log_variance = self.encode(images)
        pixels = self.decoder(mean + torch.exp(0.5 * log_variance) * noise)
        return Reconstruction(pixels=pixels, mean=mean, log_variance=log_variance)

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels uint8 [N, channels, size, size] to the means and the logarithms of variances, each [N, code]."""
        mean, log_variance = self.encoder(scaled_pixels(images, 0.5, 0.5)).chunk(2, dim=1)
        return mean, log_variance.clamp(NARROWEST, WIDEST)
