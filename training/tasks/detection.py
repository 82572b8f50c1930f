"""Detection: which objects are where, told by the cells of a grid that their centres lie in.

Sources: X. Zhou et al., "Objects as Points" (CenterNet), 2019, arXiv 1904.07850; that cells around a centre count as
nearly one by the object's own width and height, Z. Liu et al., "Training-Time-Friendly Network for Real-Time Object
Detection" (TTFNet), 2020, arXiv 1909.00700.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.tasks.task import Better, Judgement

SPREAD = 0.54 / 6
"""The deviation of how much cells count as a centre, as a share of the object's width and height (TTFNet)."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A focal loss on where centres are, and at centres the absolute error of offsets and, by `size_weight`, sizes."""

    size_weight: float = 0.1
    better: ClassVar[Better] = {"loss": "smaller", "heat": "smaller", "size": "smaller", "offset": "smaller"}

    def __post_init__(self) -> None:
        if self.size_weight < 0:
            raise ValueError("size_weight: must not be below 0")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss; metrics `loss` (the same), `heat`, `size` and `offset`, each the mean over objects, in cells.

        Inputs are pixels [N, C, H, W], targets boxes float32 [N, M, 5]: class, x0, y0, x1, y1 in pixels, class -1 where
        there is none. Answers are of H' x W' cells: logits of being a centre [N, classes, H', W'], and sizes and
        offsets [N, 2, H', W'], as in `training.networks.detector`.
        """
        heat, sizes, offsets = network(batch.inputs)
        aim = aim_of(batch.targets, heat.shape, cell=batch.inputs.shape[-1] / heat.shape[-1])
        count = int(aim.there.sum())
        over = max(1, count)
        parts = {
            "heat": focal_loss(heat, aim.heat) / over,
            "size": _errors(sizes, aim.size, aim) / over,
            "offset": _errors(offsets, aim.offset, aim) / over,
        }
        loss = parts["heat"] + self.size_weight * parts["size"] + parts["offset"]
        metrics = {name: float(value.detach()) for name, value in {"loss": loss, **parts}.items()}
        return Judgement(loss=loss, metrics=metrics, count=count)


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a network should answer: `heat` float32 [N, classes, H, W], and at the `cell` int64 [N, M] of each object
    that is `there` (bool [N, M]) its `size` and `offset`, both float32 [N, M, 2], in cells.
    """

    heat: torch.Tensor
    cell: torch.Tensor
    there: torch.Tensor
    size: torch.Tensor
    offset: torch.Tensor


def aim_of(boxes: torch.Tensor, shape: torch.Size, *, cell: float) -> Aim:
    """The aim that `boxes` [N, M, 5] are for maps of `shape` (N, classes, H, W), whose cells are `cell` pixels wide."""
    rows, columns = shape[2:]
    kinds, edges = boxes[..., 0].long(), boxes[..., 1:] / cell
    there = kinds >= 0
    size = (edges[..., 2:] - edges[..., :2]).clamp(min=0)
    centre = (edges[..., :2] + edges[..., 2:]) / 2
    column, row = (
        centre[..., axis].floor().clamp(0, most - 1) for axis, most in enumerate((columns, rows))
    )  # each [N, M]
    spread = (SPREAD * size).clamp(min=1e-3)
    across = (torch.arange(columns, device=boxes.device) - column[..., None]) / spread[..., :1]  # [N, M, W]
    down = (torch.arange(rows, device=boxes.device) - row[..., None]) / spread[..., 1:]  # [N, M, H]
    near = torch.exp(-0.5 * (down[..., :, None].square() + across[..., None, :].square()))  # [N, M, H, W]
    of_class = functional.one_hot(kinds.clamp(min=0), shape[1]) * there[..., None]  # [N, M, classes]
    heat = torch.zeros(shape, device=boxes.device)
    for number in range(boxes.shape[1]):
        heat = torch.maximum(heat, near[:, number, None] * of_class[:, number, :, None, None])
    return Aim(
        heat=heat,
        cell=(row * columns + column).long(),
        there=there,
        size=size,
        offset=centre - torch.stack([column, row], dim=-1),
    )


def focal_loss(logits: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """CenterNet's: the sum over cells, each of which counts less the surer it is and the nearer it is to a centre."""
    logits = logits.float()
    share = torch.sigmoid(logits)
    centre = (1 - share).square() * functional.logsigmoid(logits)
    elsewhere = (1 - heat) ** 4 * share.square() * functional.logsigmoid(-logits)
    return -torch.where(heat == 1, centre, elsewhere).sum()


def _errors(maps: torch.Tensor, wanted: torch.Tensor, aim: Aim) -> torch.Tensor:
    """The sum of absolute errors of `maps` [N, 2, H, W] at the cells of objects, `wanted` [N, M, 2]."""
    found = maps.flatten(2).transpose(1, 2).gather(1, aim.cell[..., None].expand(-1, -1, 2))  # [N, M, 2]
    return ((found - wanted).abs() * aim.there[..., None]).sum()
