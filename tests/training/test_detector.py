"""The detector: how maps of cells become boxes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from training.export import BATCH, Signature, export
from training.networks.catalogue import build
from training.networks.detector import Boxes, Detector, DetectorConfig, Maps, boxes_of, distances
from training.tasks.detection import aim_of

REACH = 16
NOWHERE = [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def blank(rows: int = 6, columns: int = 8) -> Maps:
    """Maps of two classes in which nothing is found: an image of 24 x 32 pixels."""
    return Maps(
        heat=torch.full((1, 2, rows, columns), -10.0),
        sides=torch.zeros(1, 4 * REACH, rows, columns),
    )


def place(maps: Maps, kind: int, row: int, column: int, logit: float) -> None:
    """An object 12 pixels wide and 8 high, whose centre lies in the middle of its cell."""
    maps.heat[0, kind, row, column] = logit
    tell(maps, row, column, torch.tensor([6.0, 4.0, 6.0, 4.0]))


def tell(maps: Maps, row: int, column: int, sides: torch.Tensor) -> None:
    """Sides that lie as far [4], each between two pixels that are told as likely as it is near."""
    shares = (1 - (torch.arange(REACH) - sides[:, None]).abs()).clamp(min=1e-9)
    maps.sides[0, :, row, column] = shares.log().flatten()


def test_peaks_are_boxes_the_likeliest_first() -> None:
    """A centre in the middle of cell (2, 3) is at pixel (14, 10), and the box lies about it."""
    maps = blank()
    place(maps, 1, 2, 3, 0.0)
    place(maps, 0, 4, 6, 2.0)
    expected = [[0, torch.sigmoid(torch.tensor(2.0)), 20, 14, 32, 22], [1, 0.5, 8, 6, 20, 14], NOWHERE]
    assert torch.allclose(torch.tensor([expected]), boxes_of(maps, 3))


def test_a_neighbour_of_a_peak_is_no_box() -> None:
    """Of cells that touch only the likeliest is a centre, class by class."""
    maps = blank()
    place(maps, 0, 2, 3, 2.0)
    place(maps, 0, 3, 4, 1.0)
    place(maps, 1, 2, 4, 0.5)
    assert [0.0, 1.0, -1.0] == boxes_of(maps, 3)[0, :, 0].tolist()


def test_of_cells_that_look_just_alike_the_first_is_a_centre() -> None:
    """An object of one colour is one box; of two that are alike the upper comes first, by any runtime."""
    maps = blank()
    for row, column in ((3, 4), (2, 4), (2, 3), (3, 3), (2, 6), (0, 0)):
        place(maps, 0, row, column, 1.0)
    found = boxes_of(maps, 4)[0]
    assert [0, 0, 0, -1] == found[:, 0].tolist()
    # The one in the corner is cut by the picture's edge, so its right and lower sides tell where it is.
    assert [(8.0, 6.0), (20.0, 14.0), (32.0, 14.0)] == [tuple(box[4:6]) for box in found[:3].tolist()]
    assert NOWHERE == found[3].tolist()


def test_equal_scores_are_told_in_one_order(tmp_path: Path) -> None:
    """A detector that looks at flat pictures answers as its file does, however many cells look alike."""
    network = build(DetectorConfig(widths=(8, 8), size=32, classes=2, boxes=8), 1)
    assert isinstance(network, Detector)
    torch.nn.init.constant_(network.heat[-1].bias, 2.0)  # type: ignore[arg-type] # it has one
    detector = Boxes(network)
    flat = np.full((6, 1, 32, 32), 90, np.uint8)
    flat[1:, :, 8:24, 8:24] = np.arange(5, dtype=np.uint8)[:, None, None, None] * 30 + 60
    signature = Signature(inputs={"image": BATCH}, outputs={"boxes": BATCH})
    assert export(detector.eval(), [flat], tmp_path / "model.onnx", signature) < 1e-3


@pytest.mark.parametrize("reach", [1, 65])
def test_a_reach_beyond_the_image_is_refused(reach: int) -> None:
    """No side lies further off."""
    with pytest.raises(ValueError, match=r"reach: must be at least 2 pixels, and at most twice the images' 32"):
        DetectorConfig(size=32, reach=reach)


def test_what_the_task_aims_at_is_the_boxes() -> None:
    """A network that answered just what `Detection` wants would be served as the boxes that it was shown."""
    shown = torch.tensor([[[1, 3, 2, 13, 9], [0, 20, 8, 31, 23], [1, 14.5, 11, 22.25, 24], [-1, 0, 0, 0, 0]]])
    aim = aim_of(shown, torch.Size((1, 2, 6, 8)), cell=4)
    maps = blank()
    maps.heat.copy_(torch.logit(aim.heat, eps=1e-4))
    for cell, sides in zip(aim.cell[0, :3].tolist(), aim.sides[0], strict=False):
        tell(maps, cell // 8, cell % 8, sides)
    found = boxes_of(maps, 4)[0]
    expected = sorted([*shown[0, :3].tolist(), [NOWHERE[0], 0, 0, 0, 0]])
    assert torch.allclose(torch.tensor(expected), torch.tensor(sorted(found[:, [0, 2, 3, 4, 5]].tolist())), atol=1e-5)


def test_boxes_lie_within_the_image() -> None:
    """What would reach beyond an edge ends there."""
    maps = blank()
    place(maps, 0, 0, 0, 3.0)
    place(maps, 0, 5, 7, 2.0)
    found = boxes_of(maps, 2)[0, :, 2:]
    assert torch.allclose(torch.tensor([[0.0, 0, 8, 6], [24, 18, 32, 24]]), found, atol=1e-5)


def test_a_side_is_the_mean_of_where_it_may_lie() -> None:
    """Sure of 3 pixels; undecided between all of 0 to 3; between 1 and 2, twice as likely 2; the rest far off."""
    logits = torch.full((4, 4), -40.0)
    logits[0, 3], logits[1], logits[2, 1], logits[2, 2], logits[3, 0] = 0.0, 0.0, 0.0, math.log(2), 0.0
    assert [3.0, 1.5, 5 / 3, 0.0] == pytest.approx(distances(logits.flatten()).tolist(), abs=1e-5)


def test_where_nothing_is_there_are_no_boxes() -> None:
    """A plain background, all of whose cells are alike, is no peak worth telling."""
    assert [NOWHERE] * 5 == boxes_of(blank(), 5)[0].tolist()


def test_a_network_is_served_as_boxes() -> None:
    """Raw pixels to the likeliest boxes of each image, scores falling, whatever the weights."""
    network = build(DetectorConfig(widths=(8, 8), boxes=7, classes=3, size=32), seed=1).eval()
    assert isinstance(network, Detector)
    images = torch.randint(0, 256, (2, 1, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        maps, found = network(images), Boxes(network)(images)
    assert [(2, 3, 8, 8), (2, 64, 8, 8)] == [tuple(one.shape) for one in maps]
    assert (2, 7, 6) == found.shape
    assert (found[:, :-1, 1] >= found[:, 1:, 1]).all()


def test_few_cells_look_like_centres_at_first() -> None:
    """Before it has learnt anything, a network takes each cell for a centre with a tenth of certainty."""
    network = build(DetectorConfig(size=32), seed=1).eval()
    with torch.inference_mode():
        heat = torch.sigmoid(network(torch.zeros(1, 1, 32, 32, dtype=torch.uint8)).heat)
    assert torch.allclose(torch.tensor(0.1), heat, atol=0.05)
