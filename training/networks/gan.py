"""Two networks against each other: a generator makes images out of noise, a discriminator tells them from real ones.

Sources: I. Goodfellow et al., "Generative Adversarial Nets", 2014, arXiv 1406.2661; the shape of both and how their
weights begin, A. Radford et al., "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks" (DCGAN), 2016, arXiv 1511.06434.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from training.networks.checks import check_counts, check_layers
from training.networks.layers import DEVIATION

SMALLEST = 16
"""Sides of the smallest image."""
FIRST = 4
"""Sides of what the generator first makes of noise, and of what the discriminator looks at last."""
LEAK = 0.2
"""What the discriminator lets through of negative values."""


@dataclass(frozen=True, kw_only=True)
class GANConfig:
    """All there is to know to build both networks, weights apart.

    `width` is that of the layers next to the image; each further from it has twice the channels and half the sides.
    `code` is how many numbers of noise an image is made of. The sides of images are `size` pixels, a power of two.
    `generator` and `discriminator` are the channels of the layers of either, from the image inwards, where those are
    others; empty means what `width` says.
    """

    width: int = 32
    code: int = 64
    channels: int = 1
    size: int = 16
    generator: tuple[int, ...] = ()
    discriminator: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_counts(width=self.width, code=self.code, channels=self.channels)
        if self.size < SMALLEST or self.size & (self.size - 1):
            raise ValueError(f"size: must be a power of two, and at least {SMALLEST}")
        check_layers(len(self.widths), generator=self.generator, discriminator=self.discriminator)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels from the image inwards, while its sides halve until they are 4."""
        return tuple(self.width << stage for stage in range((self.size // FIRST).bit_length() - 1))

    @property
    def generator_widths(self) -> tuple[int, ...]:
        """Channels of the generator's layers, from the image inwards."""
        return self.generator or self.widths

    @property
    def discriminator_widths(self) -> tuple[int, ...]:
        """Channels of the discriminator's layers, from the image inwards."""
        return self.discriminator or self.widths


class GAN(nn.Module):
    """A `generator` and a `discriminator`, trained in turns. `config` is what they were built from.

    Asked as a whole, it is the generator: the discriminator is of no use afterwards.
    """

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        self.config = config
        self.generator = _generator(config)
        self.discriminator = Discriminator(config)
        self.apply(_initialise)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Standard normal noise float32 [N, code] to pixels [N, channels, size, size] in [0, 1], shares of 255."""
        pixels: torch.Tensor = self.generator(noise)
        return pixels


class Discriminator(nn.Module):
    """Pixels to a logit that they are real."""

    def __init__(self, config: GANConfig) -> None:
        super().__init__()
        # No normalisation where pixels come in, nor where they go out of the generator (DCGAN, section 3).
        widths = config.discriminator_widths
        self.layers = nn.Sequential(nn.Conv2d(config.channels, widths[0], 4, stride=2, padding=1))
        for inputs, width in pairwise(widths):
            self.layers.append(nn.LeakyReLU(LEAK))
            self.layers.append(nn.Conv2d(inputs, width, 4, stride=2, padding=1, bias=False))
            self.layers.append(nn.BatchNorm2d(width))
        self.layers.append(nn.LeakyReLU(LEAK))
        self.layers.append(nn.Conv2d(widths[-1], 1, FIRST)).append(nn.Flatten(0))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """`pixels` float32 [N, channels, size, size] in [0, 1], shares of 255, to logits [N]."""
        logits: torch.Tensor = self.layers(2 * pixels - 1)
        return logits


def _generator(config: GANConfig) -> nn.Sequential:
    """Noise [N, code] to pixels in [0, 1]: from 4 x 4 on, each layer doubles the sides."""
    inwards = config.generator_widths[::-1]
    layers = nn.Sequential(nn.Unflatten(1, (config.code, 1, 1)))
    layers.append(nn.ConvTranspose2d(config.code, inwards[0], FIRST, bias=False))
    for inputs, width in pairwise(inwards):
        layers.append(nn.BatchNorm2d(inputs)).append(nn.ReLU())
        layers.append(nn.ConvTranspose2d(inputs, width, 4, stride=2, padding=1, bias=False))
    layers.append(nn.BatchNorm2d(inwards[-1])).append(nn.ReLU())
    layers.append(nn.ConvTranspose2d(inwards[-1], config.channels, 4, stride=2, padding=1))
    # DCGAN's hyperbolic tangent is a sigmoid too, but for its range and the scale of what goes in.
    return layers.append(nn.Sigmoid())


def _initialise(module: nn.Module) -> None:
    """Weights by DCGAN: around zero, those of normalisations around one."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, DEVIATION)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
