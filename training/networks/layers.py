"""What networks are made of: activations, normalisations, scaled inputs, and weights as they begin."""

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

Activation = Literal["relu", "tanh", "sigmoid", "gelu"]
Norm = Literal["none", "batch", "layer"]

ACTIVATIONS: Mapping[Activation, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
}
NORMS: Mapping[Norm, type[nn.Module]] = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}
WIDENING = 4
"""The feed-forward part of a transformer is this many times as wide as the network."""
DEVIATION = 0.02
"""Of a transformer's weights at the start (GPT-2), and of a DCGAN's."""


class Scale(nn.Module):
    """Numbers of the world to numbers around zero, and back: each has a `mean` and a `deviation`, on the last axis.

    One figure stands for all numbers, none leaves them as they are. The figures are the config's, so they are no part
    of the state dict.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: tuple[float, ...], deviation: tuple[float, ...]) -> None:
        super().__init__()
        self._scales = bool(mean)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32), persistent=False)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`values` [..., F] of any dtype to float32 [..., F], how many deviations each lies from its mean."""
        return (values.float() - self.mean) / self.deviation if self._scales else values.float()

    def back(self, scaled: torch.Tensor) -> torch.Tensor:
        """The inverse: float32 [..., F] in the units of the world."""
        return scaled * self.deviation + self.mean if self._scales else scaled


def scaled_pixels(images: torch.Tensor, mean: float, deviation: float) -> torch.Tensor:
    """Pixels uint8 [N, C, H, W] to float32; `mean` and `deviation` are shares of 255."""
    return (images.float() - 255.0 * mean) / (255.0 * deviation)


def conv_norm(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """A convolution and the normalisation that export folds into it."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def feed_forward(width: int, inner: int) -> nn.Sequential:
    """What a transformer does to each token by itself: [..., W] to [..., W], by way of `inner` numbers."""
    return nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


def initialise(network: nn.Module, activation: Activation = "relu") -> None:
    """Draw all weights of linear layers and convolutions for what follows them; their biases begin at zero.

    By their inputs for ReLU and GELU (K. He et al., "Delving Deep into Rectifiers", 2015), by inputs and outputs for
    tanh and sigmoid (X. Glorot, Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks",
    2010).
    """
    for module in network.modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        if activation in {"relu", "gelu"}:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        else:
            nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def initialise_transformer(network: nn.Module, *, layers: int, added: tuple[str, ...]) -> None:
    """Draw all weights but those of normalisations and biases, which begin as torch has them.

    What is added up over all `layers`, the weights whose names end with one of `added`, begins smaller, so that the sum
    doesn't grow with their number (A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019).
    """
    for name, weights in network.named_parameters():
        if weights.dim() > 1:
            nn.init.normal_(weights, std=DEVIATION / math.sqrt(2 * layers) if name.endswith(added) else DEVIATION)
