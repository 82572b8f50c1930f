"""Detection: what a network should answer for given boxes, and what its answers cost."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from training.data.batches import Batch
from training.tasks.detection import SPREAD, Detection, aim_of, focal_loss

SHAPE = torch.Size((1, 2, 4, 4))
BOX = torch.tensor([[[1.0, 2.0, 4.0, 12.0, 8.0], [-1.0, 0.0, 0.0, 0.0, 0.0]]])
"""An object of class 1, 10 x 4 pixels about (7, 6), in an image of 16 x 16; and a place without one."""


class Told(nn.Module):
    """Answers these maps, whatever it is shown."""

    def __init__(self, heat: torch.Tensor, size: torch.Tensor, offset: torch.Tensor) -> None:
        super().__init__()
        self.maps = nn.ParameterList([heat, size, offset])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.maps)


def batch(boxes: torch.Tensor) -> Batch:
    return Batch(inputs=torch.zeros((len(boxes), 1, 16, 16), dtype=torch.uint8), targets=boxes)


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-5)


def test_an_object_is_the_cell_of_its_centre() -> None:
    """Centre (7, 6) lies in column 1 and row 1 of cells of 4 pixels, 0.75 and 0.5 into it; sizes are in cells."""
    aim = aim_of(BOX, SHAPE, cell=4.0)
    assert [[True, False]] == aim.there.tolist()
    assert 1 * 4 + 1 == int(aim.cell[0, 0])
    assert [0.75, 0.5] == aim.offset[0, 0].tolist()
    assert [2.5, 1.0] == aim.size[0, 0].tolist()


def test_heat_is_one_at_the_centre_and_falls_by_the_objects_own_size() -> None:
    """Beside the centre by the width's share, below it by the height's, both of the class alone."""
    heat = aim_of(BOX, SHAPE, cell=4.0).heat[0]
    assert not heat[0].any()
    assert 1 == heat[1, 1, 1]
    assert near(math.exp(-0.5 / (SPREAD * 2.5) ** 2)) == float(heat[1, 1, 2])
    assert near(math.exp(-0.5 / (SPREAD * 1.0) ** 2)) == float(heat[1, 2, 1])


def test_where_objects_overlap_the_hotter_counts() -> None:
    """Two large ones of a class: each has its centre, and between them is the larger of both heats."""
    boxes = torch.tensor([[[0.0, -30.0, -30.0, 32.0, 32.0], [0.0, -18.0, -26.0, 44.0, 36.0]]])
    aim = aim_of(boxes, SHAPE, cell=4.0)
    alone = [aim_of(boxes[:, index : index + 1], SHAPE, cell=4.0).heat for index in range(2)]
    assert torch.equal(torch.maximum(*alone), aim.heat)
    assert 2 == int((aim.heat == 1).sum())


def test_the_focal_loss_is_that_of_the_paper() -> None:
    """One centre and one cell near it: (1-p)^2 log p, and (1-Y)^4 p^2 log(1-p)."""
    logits, heat = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.5])
    share = 1 / (1 + math.exp(-1))
    centre = -(0.5**2) * math.log(0.5)
    beside = -(0.5**4) * share**2 * math.log(1 - share)
    assert near(centre + beside) == focal_loss(logits, heat).item()


def test_sizes_and_offsets_are_compared_at_centres_only() -> None:
    """Answers of 1 everywhere: width 1.5 and height 0 off, offsets a quarter and a half."""
    ones = torch.ones(1, 2, 4, 4)
    judgement = Detection(size_weight=0.1)(Told(torch.zeros(SHAPE), ones, ones), batch(BOX))
    assert (near(1.5), near(0.75), 1) == (judgement.metrics["size"], judgement.metrics["offset"], judgement.count)
    heat = judgement.metrics["heat"]
    assert near(heat + 0.1 * 1.5 + 0.75) == judgement.loss.item()


def test_the_right_answer_costs_nothing() -> None:
    """Logits that are sure where heat is one or nearly none, sizes and offsets as they are."""
    aim = aim_of(BOX, SHAPE, cell=4.0)
    size, offset = (one[:, :1].transpose(1, 2)[..., None].expand(1, 2, 4, 4) for one in (aim.size, aim.offset))
    judgement = Detection()(Told(40 * aim.heat.round() - 20, size, offset), batch(BOX))
    assert judgement.loss.item() < 1e-6


def test_an_image_without_objects_teaches_that_there_are_none() -> None:
    """All heat is wrong then, and nothing else is asked."""
    maps = Told(torch.zeros(SHAPE), torch.ones(1, 2, 4, 4), torch.ones(1, 2, 4, 4))
    judgement = Detection()(maps, batch(BOX[:, 1:]))
    assert {"size": 0.0, "offset": 0.0} == {name: judgement.metrics[name] for name in ("size", "offset")}
    assert near(32 * 0.25 * math.log(2)) == judgement.metrics["heat"]


def test_a_centre_on_the_edge_belongs_to_the_last_cell() -> None:
    """An object that is cut off by the image still has a cell."""
    aim = aim_of(torch.tensor([[[0.0, 12.0, 12.0, 20.0, 20.0]]]), SHAPE, cell=4.0)
    assert 15 == int(aim.cell)
    assert [1.0, 1.0] == aim.offset[0, 0].tolist()


def test_a_weight_below_zero_is_refused() -> None:
    """Nobody is paid for errors."""
    with pytest.raises(ValueError, match="size_weight: must not be below 0"):
        Detection(size_weight=-1.0)
