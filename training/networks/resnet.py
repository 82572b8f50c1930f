"""A small residual network for images.

Source: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; basic blocks, one stage a width.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """All there is to know to build the network, weights apart.

    A stage has `blocks` residual blocks of its width; every stage but the first halves the image. `mean` and
    `deviation` are those of the training pixels, as shares of 255. Widths are best multiples of 16, the lanes that
    kernels work in.
    """

    widths: tuple[int, ...] = (64, 64, 96)
    blocks: int = 1
    channels: int = 1
    classes: int = 10
    mean: float = 0.5
    deviation: float = 0.5

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1 or self.blocks < 1:
            raise ValueError("widths, blocks: a network has at least one stage of one block and one channel")
        if self.deviation <= 0:
            raise ValueError("deviation: must be positive")


def conv_norm(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution and the normalisation that export folds into it."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two convolutions beside a shortcut; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_norm(inputs, outputs, stride=stride)
        self.second = conv_norm(outputs, outputs)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else conv_norm(inputs, outputs, kernel=1, stride=stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        inner = functional.relu(self.first(features))
        return functional.relu(self.second(inner) + self.shortcut(features))


class ResNet(nn.Module):
    """Raw pixels to logits. `config` is what it was built from."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = conv_norm(config.channels, config.widths[0])
        self.stages = nn.Sequential(*_blocks(config))
        self.head = nn.Linear(config.widths[-1], config.classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, channels, H, W] to logits float32 [N, classes]."""
        pixels = (images.float() - 255.0 * self.config.mean) / (255.0 * self.config.deviation)
        features = self.stages(functional.relu(self.stem(pixels)))
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)
        logits: torch.Tensor = self.head(pooled)
        return logits


def build(config: ResNetConfig, seed: int) -> ResNet:
    """A network with fresh weights drawn by `seed`; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ResNet(config)


def _blocks(config: ResNetConfig) -> list[Block]:
    blocks: list[Block] = []
    width = config.widths[0]
    for stage, outputs in enumerate(config.widths):
        for index in range(config.blocks):
            halves = stage > 0 and index == 0
            blocks.append(Block(width, outputs, 2 if halves else 1))
            width = outputs
    return blocks
