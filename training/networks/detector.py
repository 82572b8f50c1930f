"""A one-stage detector without anchors: an object is the point at its centre, and its size is read off there.

Cells of 4 x 4 pixels say, for each class, how much they look like a centre, where in the cell it lies, and how large
the object is. Features are those of several sizes of the image, added up.

Sources: X. Zhou et al., "Objects as Points" (CenterNet), 2019, arXiv 1904.07850; features, T.-Y. Lin et al., "Feature
Pyramid Networks for Object Detection", 2017, arXiv 1612.03144; blocks as in `resnet`.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from training.networks.checks import check_counts, check_pixels
from training.networks.layers import conv_norm, initialise, scaled_pixels
from training.networks.resnet import Block, BlockShape

STRIDE = 4
"""Sides of a cell, in pixels."""
PRIOR = 0.1
"""How much every cell looks like a centre at first: few are, and the focal loss begins near its end (CenterNet)."""
LEAST = 0.01
"""Scores below are no boxes: a plain background has many peaks that are all alike."""
NOWHERE = -1.0
"""The class of a box that there isn't."""


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """All there is to know to build the network, weights apart.

    The first of `widths` is that of cells; each further halves the image again. `boxes` is how many are answered.
    Images have sides of `size` pixels. `mean` and `deviation` are those of the training pixels, as shares of 255.
    """

    widths: tuple[int, ...] = (32, 64, 96)
    boxes: int = 32
    channels: int = 1
    classes: int = 10
    size: int = 64
    mean: float = 0.5
    deviation: float = 0.5

    def __post_init__(self) -> None:
        check_counts(
            widths=min(self.widths, default=0),
            boxes=self.boxes,
            channels=self.channels,
            classes=self.classes,
            size=self.size,
        )
        check_pixels(self.deviation)
        halved = STRIDE * 2 ** (len(self.widths) - 1)
        if self.size % halved:
            raise ValueError(f"size: must be a multiple of {halved}, for {len(self.widths)} widths halve it so often")
        if self.boxes > self.classes * (self.size // STRIDE) ** 2:
            raise ValueError("boxes: there are fewer cells than that; a larger size has more")


class Maps(NamedTuple):
    """What cells [H, W] say, H and W being a quarter of the image's sides.

    `heat` float32 [N, classes, H, W] are logits of being a centre. `size` [N, 2, H, W] is width and height of the
    object in cells, `offset` [N, 2, H, W] how far right and down of the cell's corner its centre lies, also in cells.
    """

    heat: torch.Tensor
    size: torch.Tensor
    offset: torch.Tensor


class Detector(nn.Module):
    """Raw pixels to maps. `config` is what it was built from."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        self.stem = nn.Sequential(conv_norm(config.channels, widths[0], stride=2), nn.ReLU())
        self.stages = nn.ModuleList(
            Block(BlockShape(stage=stage, inputs=inputs, inner=outputs, outputs=outputs, stride=2))
            for stage, (inputs, outputs) in enumerate(zip((widths[0], *widths), widths, strict=False))
        )
        self.beside = nn.ModuleList(conv_norm(width, widths[0], kernel=1) for width in widths)
        self.heat = _head(widths[0], config.classes)
        self.size = _head(widths[0], 2)
        self.offset = _head(widths[0], 2)
        initialise(self)
        last = self.heat[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        # Centres are rare: the logits of all cells begin close to each other, at the prior's.
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, -math.log((1 - PRIOR) / PRIOR))

    def forward(self, images: torch.Tensor) -> Maps:
        """Pixels uint8 [N, channels, size, size] to what its cells say."""
        x = self.stem(scaled_pixels(images, self.config.mean, self.config.deviation))
        seen = []
        for stage in self.stages:
            x = stage(x)
            seen.append(x)
        sides = [beside(one) for beside, one in zip(self.beside, seen, strict=True)]
        merged = sides.pop()
        while sides:
            merged = sides.pop() + functional.interpolate(merged, scale_factor=2)
        merged = functional.relu(merged)
        return Maps(heat=self.heat(merged), size=self.size(merged), offset=self.offset(merged))


class Boxes(nn.Module):
    """A detector as it is served: pixels to boxes."""

    def __init__(self, network: Detector) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Pixels uint8 [N, channels, size, size] to boxes float32 [N, M, 6], the likeliest first.

        A box is class, score, x0, y0, x1, y1, in pixels, within the image. Where there are fewer than M, the rest is of
        class -1 and zeros.
        """
        maps = self.network(images)
        return boxes_of(maps, self.network.config.boxes)


def boxes_of(maps: Maps, count: int) -> torch.Tensor:
    """The `count` likeliest boxes float32 [N, count, 6] of `maps`, as `Boxes` answers them.

    A centre is a cell that none of its eight neighbours looks more like, which is all the suppression there is.
    """
    heat = torch.sigmoid(maps.heat)
    rows, columns = heat.shape[2:]
    peaks = heat * (functional.max_pool2d(heat, 3, stride=1, padding=1) == heat)
    scores, places = peaks.flatten(1).topk(count, dim=1)  # [N, M]
    cells = places % (rows * columns)
    size, offset = (
        one.flatten(2).transpose(1, 2).gather(1, cells[:, :, None].expand(-1, -1, 2))  # [N, M, 2]
        for one in (maps.size, maps.offset)
    )
    centre = torch.stack([cells % columns, cells // columns], dim=2) + offset
    half = size.clamp(min=0) / 2
    limit = torch.tensor([columns, rows, columns, rows], device=heat.device)
    edges = torch.cat([centre - half, centre + half], dim=2).clamp(min=0).minimum(limit) * STRIDE  # [N, M, 4]
    classes = (places // (rows * columns)).float()
    found = torch.cat([classes[:, :, None], scores[:, :, None], edges], dim=2)
    nothing = torch.tensor([NOWHERE, 0.0, 0.0, 0.0, 0.0, 0.0], device=heat.device)
    return torch.where(scores[:, :, None] >= LEAST, found, nothing)


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, outputs, 1))
