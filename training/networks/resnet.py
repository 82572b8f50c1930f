"""A small residual network for images.

Source: K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; basic blocks, one stage a width.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from training.networks.checks import check_embedding, check_pixels
from training.networks.layers import conv_norm, scaled_pixels
from training.seeding import seeded


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """All there is to know to build the network, weights apart.

    A stage has `blocks` residual blocks of its width, or as many as `depths` says of it; every stage but the first
    halves the image. `inner` is the width between the two convolutions of each block, in order; empty means that of
    its stage. `mean` and `deviation` are
    those of the training pixels, as shares of 255. Widths are best multiples of 16, the lanes that kernels work in.
    With an `embedding` the network answers that many numbers of unit length instead of logits: images that are alike
    lie close together.
    """

    widths: tuple[int, ...] = (64, 64, 96)
    blocks: int = 1
    depths: tuple[int, ...] = ()
    inner: tuple[int, ...] = ()
    embedding: int = 0
    channels: int = 1
    classes: int = 10
    mean: float = 0.5
    deviation: float = 0.5

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1 or self.blocks < 1:
            raise ValueError("widths, blocks: a network has at least one stage of one block and one channel")
        if self.depths and (len(self.depths) != len(self.widths) or min(self.depths) < 1):
            raise ValueError("depths: is empty, or has one number of blocks for every stage")
        if self.inner and (len(self.inner) != sum(self.stage_depths) or min(self.inner) < 1):
            raise ValueError("inner: is empty, or has one width of at least 1 for every block")
        check_pixels(self.deviation)
        check_embedding(self.embedding)

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """How many blocks each stage has."""
        return self.depths or (self.blocks,) * len(self.widths)

    @property
    def answers(self) -> int:
        """How many numbers are answered for an image."""
        return self.embedding or self.classes


@dataclass(frozen=True, kw_only=True)
class BlockShape:
    """One block of a config: its stage, the channels that come in, lie between, and go out, and its stride."""

    stage: int
    inputs: int
    inner: int
    outputs: int
    stride: int

    @property
    def projects(self) -> bool:
        """True when the shortcut has to change the shape."""
        return self.inputs != self.outputs or self.stride != 1


class Block(nn.Module):
    """Two convolutions beside a shortcut; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.first = conv_norm(shape.inputs, shape.inner, stride=shape.stride)
        self.second = conv_norm(shape.inner, shape.outputs)
        self.shortcut: nn.Module = nn.Identity()
        if shape.projects:
            self.shortcut = conv_norm(shape.inputs, shape.outputs, kernel=1, stride=shape.stride)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        inner = functional.relu(self.first(features))
        return functional.relu(self.second(inner) + self.shortcut(features))


class ResNet(nn.Module):
    """Raw pixels to logits, or to an embedding. `config` is what it was built from."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = conv_norm(config.channels, config.widths[0])
        self.stages = nn.Sequential(*(Block(shape) for shape in block_shapes(config)))
        self.head = nn.Linear(config.widths[-1], config.answers)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, channels, H, W] to float32: logits [N, classes], or unit vectors [N, embedding]."""
        pixels = scaled_pixels(images, self.config.mean, self.config.deviation)
        features = self.stages(functional.relu(self.stem(pixels)))
        pooled = functional.adaptive_avg_pool2d(features, 1).flatten(1)
        answer: torch.Tensor = self.head(pooled)
        return functional.normalize(answer) if self.config.embedding else answer


def build(config: ResNetConfig, seed: int) -> ResNet:
    """A network with fresh weights drawn by `seed`; the global random state is left as it was."""
    with seeded(seed):
        return ResNet(config)


def block_shapes(config: ResNetConfig) -> Iterator[BlockShape]:
    """The blocks in order."""
    inputs, inner = config.widths[0], iter(config.inner)
    for stage, outputs in enumerate(config.widths):
        for index in range(config.stage_depths[stage]):
            stride = 2 if stage > 0 and index == 0 else 1
            yield BlockShape(stage=stage, inputs=inputs, inner=next(inner, outputs), outputs=outputs, stride=stride)
            inputs = outputs


def multiply_adds(config: ResNetConfig, side: int) -> int:
    """Multiplications (each with its addition) for one image of `side` x `side` pixels, in convolutions and head."""
    total = 9 * config.channels * config.widths[0] * side**2
    for shape in block_shapes(config):
        side = -(-side // shape.stride)
        shortcut = shape.inputs * shape.outputs if shape.projects else 0
        total += (9 * shape.inputs * shape.inner + 9 * shape.inner * shape.outputs + shortcut) * side**2
    return total + config.widths[-1] * config.answers


def parameters(config: ResNetConfig) -> int:
    """Weights that the network learns, those of normalisations and the head's shifts too."""
    shapes = list(block_shapes(config))
    convolutions = [(config.channels, config.widths[0], 9)]
    convolutions += [(shape.inputs, shape.inner, 9) for shape in shapes]
    convolutions += [(shape.inner, shape.outputs, 9) for shape in shapes]
    convolutions += [(shape.inputs, shape.outputs, 1) for shape in shapes if shape.projects]
    # Each convolution is followed by a normalisation with a scale and a shift, the last features by the head.
    total = sum(inputs * outputs * taps + 2 * outputs for inputs, outputs, taps in convolutions)
    return total + (config.widths[-1] + 1) * config.answers
