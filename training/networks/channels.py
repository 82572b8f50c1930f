"""Channels of a network that can only be cut together, and the cut itself.

A network that can be made narrower says which channels are tied (a residual sum ties everything that is added up), and
along which axes of which tensors they run. Cutting then is indexing: the kept slices become the weights of a network
built from a narrower config. Nothing is masked, the tensors are smaller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

STEP = 16
"""Widths are multiples of this: the lanes that the kernels of a CPU work in."""


@dataclass(frozen=True, kw_only=True)
class ChannelGroup:
    """Channels that are kept or cut together.

    `axes` are pairs of a tensor's name in the state dict and the axis along which its channels lie. `gates` are the
    normalisations whose scale and shift every one of these channels passes through.
    """

    name: str
    width: int
    axes: tuple[tuple[str, int], ...]
    gates: tuple[str, ...]


def cut(
    weights: Mapping[str, torch.Tensor], groups: Sequence[ChannelGroup], kept: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The weights with only the channels `kept` of each group: its name to their positions, int64 [width]."""
    left = dict(weights)
    for group in groups:
        for name, axis in group.axes:
            left[name] = left[name].index_select(axis, kept[group.name])
    return {name: tensor.clone() for name, tensor in left.items()}
