"""A one-stage detector without anchors: an object is the point at its centre, and its sides are read off there.

Cells of 4 x 4 pixels say, for each class, how much they look like a centre, and how far from their middle the sides of
the object lie. A distance is a distribution over whole pixels, since a side that may be here or there is no number in
between. Features are those of several sizes of the image, added up.

Sources: X. Zhou et al., "Objects as Points" (CenterNet), 2019, arXiv 1904.07850; sides, X. Li et al., "Generalized
Focal Loss", 2020, arXiv 2006.04388; features, T.-Y. Lin et al., "Feature Pyramid Networks for Object Detection", 2017,
arXiv 1612.03144; blocks as in `resnet`.
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
USUAL_REACH = 16
"""Pixels: enough for objects that are 28 wide."""


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """All there is to know to build the network, weights apart.

    The first of `widths` is that of cells; each further halves the image again. `boxes` is how many are answered.
    Sides lie less than `reach` pixels from the middle of their cell, so that it is a little more than half of the
    largest object. Images have sides of `size` pixels. `mean` and `deviation` are those of the training pixels, as
    shares of 255.
    """

    widths: tuple[int, ...] = (32, 64, 96)
    reach: int = USUAL_REACH
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
        if not 2 <= self.reach <= max(USUAL_REACH, 2 * self.size):
            raise ValueError(f"reach: must be at least 2 pixels, and at most twice the images' {self.size}")
        halved = STRIDE * 2 ** (len(self.widths) - 1)
        if self.size % halved:
            raise ValueError(f"size: must be a multiple of {halved}, for {len(self.widths)} widths halve it so often")
        if self.boxes > self.classes * (self.size // STRIDE) ** 2:
            raise ValueError("boxes: there are fewer cells than that; a larger size has more")


class Maps(NamedTuple):
    """What cells [H, W] say, H and W being a quarter of the image's sides.

    `heat` float32 [N, classes, H, W] are logits of being a centre. `sides` [N, 4 * reach, H, W] are logits of how many
    pixels the left, upper, right and lower side of the object lie from the cell's middle: 0, 1 ... reach - 1 for each.
    """

    heat: torch.Tensor
    sides: torch.Tensor


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
        self.sides = _head(widths[0], 4 * config.reach)
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
        return Maps(heat=self.heat(merged), sides=self.sides(merged))


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

    A centre is a cell that none of its eight neighbours looks more like, which is all the suppression there is. Of
    several that look just alike, as on an object of one colour, the first is meant: that above, or else to the left.
    """
    heat = torch.sigmoid(maps.heat)
    rows, columns = heat.shape[2:]
    scores, places = _in_order(*_peaks(heat).flatten(1).topk(count, dim=1))  # [N, M]
    cells = places % (rows * columns)
    far = distances(at_cells(maps.sides, cells))
    middle = STRIDE * (torch.stack([cells % columns, cells // columns], dim=2) + 0.5)
    limit = STRIDE * torch.tensor([columns, rows, columns, rows], device=heat.device)
    edges = torch.cat([middle - far[..., :2], middle + far[..., 2:]], dim=2).clamp(min=0).minimum(limit)  # [N, M, 4]
    classes = (places // (rows * columns)).float()
    found = torch.cat([classes[:, :, None], scores[:, :, None], edges], dim=2)
    nothing = torch.tensor([NOWHERE, 0.0, 0.0, 0.0, 0.0, 0.0], device=heat.device)
    return torch.where(scores[:, :, None] >= LEAST, found, nothing)


def _peaks(heat: torch.Tensor) -> torch.Tensor:
    """`heat` [N, classes, H, W] where a cell is a centre, and 0 elsewhere."""
    most = functional.max_pool2d(heat, 3, stride=1, padding=1)
    framed = functional.pad(heat, (1, 1, 1, 0))
    above, beside = framed[:, :, :-1], framed[:, :, 1:, :-2]
    before = torch.maximum(torch.maximum(above[..., :-2], above[..., 1:-1]), torch.maximum(above[..., 2:], beside))
    return heat * ((most == heat) & (heat > before))


def _in_order(scores: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Both [N, M], the largest score first, and of equal ones the first place, about which runtimes differ."""
    one, other = scores[:, None], scores[:, :, None]
    ahead = (one > other) | ((one == other) & (places[:, None] < places[:, :, None]))
    order = (-ahead.sum(dim=2)).topk(scores.shape[1], dim=1).indices
    return scores.gather(1, order), places.gather(1, order)


def at_cells(maps: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """What `maps` [N, C, H, W] say at `cells` int64 [N, M], counted row by row: [N, M, C]."""
    return maps.flatten(2).transpose(1, 2).gather(1, cells[:, :, None].expand(-1, -1, maps.shape[1]))


def distances(sides: torch.Tensor) -> torch.Tensor:
    """How far sides lie, in pixels [..., 4]: the means of what logits [..., 4 * reach] say."""
    shares = torch.stack(sides.chunk(4, dim=-1), dim=-2).softmax(dim=-1)
    # A sum, and no product of matrices: whoever quantizes the file looks for products.
    found: torch.Tensor = (shares * torch.arange(shares.shape[-1], device=shares.device)).sum(dim=-1)
    return found


def _head(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, outputs, 1))
