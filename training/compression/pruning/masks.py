"""Weights that are zeroed one by one, and tensors that keep their shapes: unstructured, or two of every four (2:4).

What that is good for: a file that compresses better, and GPUs whose sparse kernels take 2:4. It is no faster on a CPU:
ONNX Runtime computes zeros at full price there, which is why networks are pruned by their configs.

Sources: S. Han et al., "Learning both Weights and Connections for Efficient Neural Networks", NeurIPS 2015; A. Mishra
et al., "Accelerating Sparse Deep Neural Networks", 2021, arXiv 2104.08378.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import nn

Pattern = Literal["unstructured", "2:4"]

FOUR, TWO = 4, 2
"""Of every four neighbours along the inputs of a weight, the two larger ones stay."""
NO_SPEED = (
    "ONNX Runtime's CPU multiplies zeros at full price: masks make the compressed file smaller, and nothing faster"
)
"""What is said wherever masks are spoken of, on the page of every search too."""
LEVEL = 9

Masks = Mapping[str, torch.Tensor]
"""Tensor of the state dict -> which of its weights stay, bool of its shape."""


@dataclass(frozen=True, kw_only=True)
class Masked:
    """What masks come to: the share of zeros among all weights, and the file's bytes, as they are and deflated.

    `told` says in a sentence what that is good for.
    """

    pattern: Pattern
    zeros: float
    size: int
    compressed: int
    told: str = NO_SPEED


def masks_of(network: nn.Module, pattern: Pattern, share: float = 0.5) -> Masks:
    """Which weights of a network stay: those furthest from zero, of all matrices and kernels together.

    `share` is how many of them are zeroed; of 2:4 it is a half, and tensors whose inputs aren't a multiple of four stay
    as they are. Biases and normalisations, which are few, stay. Raises ValueError for a share that isn't one.
    """
    if not 0 < share < 1 or (pattern == "2:4" and share != TWO / FOUR):
        raise ValueError("share: must lie between 0 and 1, and be a half where two of every four weights stay")
    weights = {name: tensor.detach() for name, tensor in network.named_parameters() if tensor.dim() > 1}
    if pattern == "2:4":
        return {name: _two_of_four(tensor) for name, tensor in weights.items() if not tensor[0].numel() % FOUR}
    everything = torch.cat([tensor.abs().flatten() for tensor in weights.values()])
    # All sizes in order, by which exactly as many go, however many are alike.
    stays = torch.ones(len(everything), dtype=torch.bool)
    stays[torch.argsort(everything, stable=True)[: round(share * len(everything))]] = False
    parts = torch.split(stays, [tensor.numel() for tensor in weights.values()])
    return {name: part.view(tensor.shape) for (name, tensor), part in zip(weights.items(), parts, strict=True)}


def apply(network: nn.Module, masks: Masks) -> None:
    """Zero the weights that don't stay; nothing is left of their gradients, so that they remain zero in any fit.

    An optimizer that has steps behind it still carries them on: it has to begin anew.
    """
    for name, mask in masks.items():
        parameter = network.get_parameter(name)
        with torch.no_grad():
            parameter.mul_(mask)
        parameter.register_hook(partial(torch.mul, mask))  # type: ignore[no-untyped-call] # torch leaves it untyped


def masked(path: Path, network: nn.Module, pattern: Pattern) -> Masked:
    """What a file comes to that was written of a masked `network`; deflate is what zip and PNG compress by."""
    content = path.read_bytes()
    weights = [tensor.detach() for tensor in network.parameters()]
    zeros = sum(int((tensor == 0).sum()) for tensor in weights) / sum(tensor.numel() for tensor in weights)
    return Masked(pattern=pattern, zeros=zeros, size=len(content), compressed=len(zlib.compress(content, LEVEL)))


def _two_of_four(weights: torch.Tensor) -> torch.Tensor:
    """Of `weights` [outputs, ...], neighbours along all that one output is computed of: bool of the same shape."""
    fours = weights.abs().reshape(-1, FOUR)
    mask = torch.zeros_like(fours, dtype=torch.bool)
    mask.scatter_(1, fours.topk(TWO, dim=1).indices, value=True)
    return mask.view(weights.shape)
