"""Detection: which objects are where, told by the cells of a grid that their centres lie in.

Sources: X. Zhou et al., "Objects as Points" (CenterNet), 2019, arXiv 1904.07850; that cells around a centre count as
nearly one by the object's own width and height, Z. Liu et al., "Training-Time-Friendly Network for Real-Time Object
Detection" (TTFNet), 2020, arXiv 1909.00700; the overlap, H. Rezatofighi et al., "Generalized Intersection over Union",
CVPR 2019; sides as distributions, X. Li et al., "Generalized Focal Loss", 2020, arXiv 2006.04388.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from training.data.batches import Batch
from training.networks.detector import at_cells, distances
from training.tasks.task import Better, Judgement

SPREAD = 0.54 / 6
"""The deviation of how much cells count as a centre, as a share of the object's width and height (TTFNet)."""
TINY = 1e-6
"""Areas below are taken for so many square pixels, so that an empty box is no division by zero."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """A focal loss on where centres are, and at centres, by the weights `overlap` and `sides`, what boxes don't share
    with those that are wanted, and the cross entropy of where their sides lie.
    """

    overlap: float = 2.0
    sides: float = 0.25
    better: ClassVar[Better] = {"loss": "smaller", "heat": "smaller", "overlap": "smaller", "sides": "smaller"}

    def __post_init__(self) -> None:
        if min(self.overlap, self.sides) < 0:
            raise ValueError("overlap, sides: must not be below 0")

    def __call__(self, network: nn.Module, batch: Batch) -> Judgement:
        """The loss; metrics `loss` (the same), `heat`, `overlap` and `sides` (in nats a side), each the mean over
        objects.

        Inputs are pixels [N, C, H, W], targets boxes float32 [N, M, 5]: class, x0, y0, x1, y1 in pixels, class -1 where
        there is none. Answers are of H' x W' cells: logits of being a centre [N, classes, H', W'], and of where sides
        lie [N, 4 * reach, H', W'], as in `training.networks.detector`.
        """
        heat, maps = network(batch.inputs)
        aim = aim_of(batch.targets, heat.shape, cell=batch.inputs.shape[-1] / heat.shape[-1])
        sides, wanted = at_cells(maps, aim.cell)[aim.there].float(), aim.sides[aim.there]
        over = max(1, len(wanted))
        parts = {
            "heat": focal_loss(heat, aim.heat) / over,
            "overlap": overlap_loss(distances(sides), wanted) / over,
            "sides": sides_loss(sides, wanted) / over,
        }
        loss = parts["heat"] + self.overlap * parts["overlap"] + self.sides * parts["sides"]
        metrics = {name: float(value.detach()) for name, value in {"loss": loss, **parts}.items()}
        return Judgement(loss=loss, metrics=metrics, count=len(wanted))


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a network should answer: `heat` float32 [N, classes, H, W], and at the `cell` int64 [N, M] of each object
    that is `there` (bool [N, M]) how many pixels the left, upper, right and lower of its `sides` lie from the cell's
    middle, float32 [N, M, 4].
    """

    heat: torch.Tensor
    cell: torch.Tensor
    there: torch.Tensor
    sides: torch.Tensor


def aim_of(boxes: torch.Tensor, shape: torch.Size, *, cell: float) -> Aim:
    """The aim that `boxes` [N, M, 5] are for maps of `shape` (N, classes, H, W), whose cells are `cell` pixels wide."""
    rows, columns = shape[2:]
    kinds, edges = boxes[..., 0].long(), boxes[..., 1:]
    there = kinds >= 0
    size = (edges[..., 2:] - edges[..., :2]).clamp(min=0) / cell
    centre = (edges[..., :2] + edges[..., 2:]) / 2
    column, row = (
        (centre[..., axis] / cell).floor().clamp(0, most - 1) for axis, most in enumerate((columns, rows))
    )  # each [N, M]
    middle = cell * (torch.stack([column, row], dim=-1) + 0.5)
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
        sides=torch.cat([middle - edges[..., :2], edges[..., 2:] - middle], dim=-1),
    )


def focal_loss(logits: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """CenterNet's: the sum over cells, each of which counts less the surer it is and the nearer it is to a centre."""
    logits = logits.float()
    share = torch.sigmoid(logits)
    centre = (1 - share).square() * functional.logsigmoid(logits)
    elsewhere = (1 - heat) ** 4 * share.square() * functional.logsigmoid(-logits)
    return -torch.where(heat == 1, centre, elsewhere).sum()


def overlap_loss(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The sum over boxes of one less their generalized overlap, the sides of both as far [K, 4] from the same point."""
    shared, hull = (_area(extreme(found, wanted)) for extreme in (torch.minimum, torch.maximum))
    either = _area(found) + _area(wanted) - shared
    return (2 - shared / either.clamp(min=TINY) - either / hull.clamp(min=TINY)).sum()


def sides_loss(logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The sum over boxes of the mean cross entropy of their sides: logits [K, 4 * reach] of lying 0, 1 ... reach - 1
    pixels away, of which the two around what is `wanted` [K, 4] share it.
    """
    surely = functional.log_softmax(torch.stack(logits.chunk(4, dim=1), dim=1), dim=2)  # [K, 4, reach]
    last = surely.shape[2] - 1
    within = wanted.clamp(0, last)
    below = within.floor().clamp(max=last - 1)
    above = within - below
    nearer, further = (surely.gather(2, (below + step).long()[..., None])[..., 0] for step in (0, 1))
    return -((1 - above) * nearer + above * further).mean(dim=1).sum()


def _area(sides: torch.Tensor) -> torch.Tensor:
    """Of boxes whose sides are as far [K, 4] from a point: pixels [K], 0 of what is turned inside out."""
    return (sides[:, :2] + sides[:, 2:]).clamp(min=0).prod(dim=1)
