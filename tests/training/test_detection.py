"""Detection: what a network should answer for given boxes, and what its answers cost."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from training.data.batches import Batch
from training.tasks.detection import SPREAD, Detection, aim_of, focal_loss, overlap_loss, sides_loss

SHAPE = torch.Size((1, 2, 4, 4))
BOX = torch.tensor([[[1.0, 2.0, 4.0, 12.0, 8.0], [-1.0, 0.0, 0.0, 0.0, 0.0]]])
"""An object of class 1, 10 x 4 pixels about (7, 6), in an image of 16 x 16; and a place without one."""


class Told(nn.Module):
    """Answers these maps, whatever it is shown."""

    def __init__(self, heat: torch.Tensor, sides: torch.Tensor) -> None:
        super().__init__()
        self.maps = nn.ParameterList([heat, sides])

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.maps)


def batch(boxes: torch.Tensor) -> Batch:
    return Batch(inputs=torch.zeros((len(boxes), 1, 16, 16), dtype=torch.uint8), targets=boxes)


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-5)


def test_an_object_is_the_cell_of_its_centre() -> None:
    """Centre (7, 6) lies in column 1 and row 1 of cells of 4 pixels, whose middle is (6, 6)."""
    aim = aim_of(BOX, SHAPE, cell=4.0)
    assert [[True, False]] == aim.there.tolist()
    assert 1 * 4 + 1 == int(aim.cell[0, 0])
    assert [4.0, 2.0, 6.0, 2.0] == aim.sides[0, 0].tolist()


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


def test_overlap_costs_what_boxes_dont_share() -> None:
    """The same. A box within: a quarter is shared. Beside: nothing is, and half of the hull is empty."""
    wanted = torch.tensor([[2.0, 2.0, 2.0, 2.0]])
    assert near(0.0) == overlap_loss(wanted, wanted).item()
    assert near(0.75) == overlap_loss(torch.ones(1, 4), wanted).item()
    beside = torch.tensor([[-2.0, 2.0, 3.0, 2.0]]), torch.tensor([[1.0, 2.0, 0.0, 2.0]])  # from 2 to 3, from -1 to 0
    assert near(1.5) == overlap_loss(*beside).item()
    assert near(0.75 + 0.75) == overlap_loss(torch.ones(2, 4), wanted.expand(2, 4)).item()


def test_a_side_between_pixels_is_shared_by_both() -> None:
    """Of 2.25 pixels, three quarters are told as 2 and one as 3; beyond what can be told, the furthest is wanted."""
    logits = torch.arange(20.0).reshape(1, 4, 5).sin()
    surely = logits.log_softmax(dim=2)[0]
    expected = -(0.75 * surely[0, 2] + 0.25 * surely[0, 3] + surely[1, 4] + surely[2, 0] + surely[3, 4]) / 4
    found = sides_loss(logits.flatten(1), torch.tensor([[2.25, 4.0, -1.0, 9.0]]))
    assert near(expected.item()) == found.item()


def test_boxes_are_compared_at_centres_only() -> None:
    """Answers that are alike everywhere: all sides 1.5 pixels away, where sharing 9 of 40 is right; four choices."""
    judgement = Detection(overlap=2.0, sides=0.1)(Told(torch.zeros(SHAPE), torch.zeros(1, 16, 4, 4)), batch(BOX))
    metrics = judgement.metrics
    assert (near(1 - 9 / 40), near(math.log(4)), 1) == (metrics["overlap"], metrics["sides"], judgement.count)
    assert near(metrics["heat"] + 2 * metrics["overlap"] + 0.1 * metrics["sides"]) == judgement.loss.item()


def test_the_right_answer_costs_nothing() -> None:
    """Logits that are sure where heat is one or nearly none, and of each side's pixel."""
    aim = aim_of(BOX, SHAPE, cell=4.0)
    sides = 40 * nn.functional.one_hot(aim.sides[0, 0].long(), 8).float().flatten()
    maps = Told(40 * aim.heat.round() - 20, sides[None, :, None, None].expand(1, 32, 4, 4))
    assert Detection()(maps, batch(BOX)).loss.item() < 1e-6


def test_an_image_without_objects_teaches_that_there_are_none() -> None:
    """All heat is wrong then, and nothing else is asked."""
    judgement = Detection()(Told(torch.zeros(SHAPE), torch.ones(1, 16, 4, 4)), batch(BOX[:, 1:]))
    assert {"overlap": 0.0, "sides": 0.0} == {name: judgement.metrics[name] for name in ("overlap", "sides")}
    assert near(32 * 0.25 * math.log(2)) == judgement.metrics["heat"]
    assert torch.isfinite(judgement.loss)


def test_a_centre_on_the_edge_belongs_to_the_last_cell() -> None:
    """An object that is cut off by the image still has a cell."""
    aim = aim_of(torch.tensor([[[0.0, 12.0, 12.0, 20.0, 20.0]]]), SHAPE, cell=4.0)
    assert 15 == int(aim.cell)
    assert [2.0, 2.0, 6.0, 6.0] == aim.sides[0, 0].tolist()


def test_a_weight_below_zero_is_refused() -> None:
    """Nobody is paid for errors."""
    for wrong in ({"overlap": -1.0}, {"sides": -1.0}):
        with pytest.raises(ValueError, match="overlap, sides: must not be below 0"):
            Detection(**wrong)
