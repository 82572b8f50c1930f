"""A small convolutional network whose blocks look at each channel alone, and then at all channels of each pixel.

Source: A. Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017,
arXiv 1704.04861.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from training.networks.checks import check_counts, check_embedding, check_pixels
from training.networks.layers import conv_norm, initialise, scaled_pixels


@dataclass(frozen=True, kw_only=True)
class DepthwiseConfig:
    """All there is to know to build the network, weights apart.

    A stage has `blocks` blocks of its width; every stage but the first halves the image. With an `embedding` the
    network answers that many numbers of unit length instead of logits: images that are alike lie close together.
    `mean` and `deviation` are those of the training pixels, as shares of 255.
    """

    widths: tuple[int, ...] = (32, 64, 128)
    blocks: int = 2
    embedding: int = 0
    channels: int = 1
    classes: int = 10
    mean: float = 0.5
    deviation: float = 0.5

    def __post_init__(self) -> None:
        check_counts(
            widths=min(self.widths, default=0), blocks=self.blocks, channels=self.channels, classes=self.classes
        )
        check_embedding(self.embedding)
        check_pixels(self.deviation)


class Depthwise(nn.Module):
    """Raw pixels to logits, or to an embedding. `config` is what it was built from."""

    def __init__(self, config: DepthwiseConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = conv_norm(config.channels, config.widths[0])
        self.stages = nn.Sequential()
        width = config.widths[0]
        for stage, wider in enumerate(config.widths):
            for index in range(config.blocks):
                self.stages.append(_block(width, wider, stride=2 if stage > 0 and index == 0 else 1))
                width = wider
        self.head = nn.Linear(width, config.embedding or config.classes)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, channels, H, W] to float32: logits [N, classes], or unit vectors [N, embedding]."""
        pixels = scaled_pixels(images, self.config.mean, self.config.deviation)
        features = self.stages(functional.relu(self.stem(pixels)))
        answer: torch.Tensor = self.head(functional.adaptive_avg_pool2d(features, 1).flatten(1))
        return functional.normalize(answer) if self.config.embedding else answer


def _block(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    """Each channel by itself, [N, inputs, H, W]; then all of a pixel, [N, outputs, H / stride, W / stride]."""
    alone = conv_norm(inputs, inputs, stride=stride, groups=inputs)
    return nn.Sequential(alone, nn.ReLU(), conv_norm(inputs, outputs, kernel=1), nn.ReLU())
