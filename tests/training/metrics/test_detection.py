"""Average precision of boxes: cases by hand, and COCO's own evaluation on random pictures."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.bootstrap import Resampling
from training.errors import Immeasurable
from training.metrics.detection import OVERLAPS, _average, _match, measure, overlaps, precisions
from training.statistics import Values

FEW = Resampling(rounds=40)
CLASSES = ("a", "b", "c")
NONE = [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_overlaps_by_hand() -> None:
    """Half shared of what either has, apart, touching, the same, one that is empty."""
    first = np.array([[0.0, 0.0, 2.0, 2.0]])
    second = np.array([[0, 0, 2, 1], [5, 5, 6, 6], [2, 0, 4, 2], [0, 0, 2, 2], [1, 1, 1, 1], [1, 1, 3, 3]], np.float64)
    assert [0.5, 0.0, 0.0, 1.0, 0.0, 1 / 7] == pytest.approx(overlaps(first, second)[0].tolist())
    assert [0.0] == overlaps(second[4:5], second[4:5])[0].tolist()


def test_average_precision_by_hand() -> None:
    """Right, wrong, right, of three: 1 up to a recall of 1/3, 2/3 up to 2/3, then 0, at 101 recalls."""
    targets = np.array([[[0, 0, 0, 4, 4], [0, 10, 10, 14, 14]], [[0, 0, 0, 4, 4], [-1, 0, 0, 0, 0]]], np.float64)
    predictions = np.array(
        [[[0, 0.9, 0, 0, 4, 4], [0, 0.8, 20, 20, 24, 24]], [[0, 0.7, 0, 0, 4, 4], NONE]],
        np.float64,
    )
    found = measure(predictions, targets, np.arange(2), CLASSES, FEW)
    expected = (34 * 1.0 + 33 * 2 / 3) / 101  # recalls 0 to 0.33, then 0.34 to 0.66
    assert (expected, expected) == pytest.approx((found.at_50.each["a"].value, found.at_50_95.mean.value))
    assert ["a"] == list(found.at_50.each)


def test_an_overlap_counts_up_to_its_threshold() -> None:
    """A box that covers 0.72 of the target is right at 0.5, 0.55 ... 0.7: half of the thresholds."""
    targets = np.array([[[0, 0, 0, 100, 1]]] * 2, np.float64)
    predictions = np.array([[[0, 0.9, 0, 0, 72, 1]]] * 2, np.float64)
    found = measure(predictions, targets, np.arange(2), CLASSES, FEW)
    assert (1.0, 0.5) == pytest.approx((found.at_50.mean.value, found.at_50_95.mean.value))


def test_one_overlap_is_measured_as_among_all() -> None:
    """Who asks for 0.5 alone gets the same average precision there, which is its own mean then."""
    random = np.random.default_rng(1)
    edges = random.uniform(0, 20, (8, 3, 2))
    boxes = np.concatenate([random.integers(0, 3, (8, 3, 1)), edges, edges + random.uniform(4, 12, (8, 3, 2))], axis=2)
    moved = boxes + np.concatenate([np.zeros((8, 3, 1)), random.normal(0, 2, (8, 3, 4))], axis=2)
    predictions = np.insert(moved, 1, random.uniform(size=(8, 3)), axis=2)
    everything, everyone = precisions(predictions, boxes, CLASSES), np.arange(8)
    alone = precisions(predictions, boxes, CLASSES, OVERLAPS[:1])(everyone)
    assert np.array_equal(alone[0], everything(everyone)[0])
    assert np.array_equal(alone[0], alone[1])
    assert 0 < everything(everyone)[1, 0] < alone[0, 0] < 1


def test_a_target_is_found_once() -> None:
    """The surer of two takes the target, the other is wrong, but after it: the average precision stays 1."""
    targets = np.array([[[0, 0, 0, 4, 4]]] * 2, np.float64)
    twice = [[0, 0.9, 0, 0, 4, 4], [0, 0.8, 0, 0, 4, 4]]
    found = measure(np.array([twice, [twice[0], NONE]], np.float64), targets, np.arange(2), CLASSES, FEW)
    assert pytest.approx(1.0) == found.at_50.mean.value
    ahead = [[0, 0.95, 50, 50, 54, 54], [0, 0.9, 0, 0, 4, 4]]
    found = measure(np.array([ahead, [twice[0], NONE]], np.float64), targets, np.arange(2), CLASSES, FEW)
    assert pytest.approx(2 / 3) == found.at_50.mean.value


def pictures(seed: int) -> tuple[Values, Values]:
    """Predictions and targets of 20 pictures: some moved, some doubled, some missing, some of another class."""
    random = np.random.default_rng(seed)
    targets, predictions = np.full((20, 6, 5), -1.0), np.full((20, 9, 6), -1.0)
    for target, prediction in zip(targets, predictions, strict=True):
        count = random.integers(0, 7)
        corner, side = random.uniform(0, 60, (count, 2)), random.uniform(5, 30, (count, 2))
        target[:count] = np.column_stack([random.integers(0, 3, count), corner, corner + side])
        seen = np.flatnonzero(random.random(count) < 0.8)
        seen = np.concatenate([seen, random.permutation(seen)[:3]])
        moved = target[seen, 1:] + random.normal(scale=2.0, size=(len(seen), 4))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])  # COCO passes over boxes that are inside out
        labels = np.where(random.random(len(seen)) < 0.8, target[seen, 0], random.integers(0, 3, len(seen)))
        prediction[: len(seen)] = np.column_stack([labels, random.permutation(20)[: len(seen)] / 20, moved])
    return predictions, targets


def coco(predictions: Values, targets: Values) -> tuple[float, float]:
    """The mean average precision at 0.5 to 0.95 and at 0.5, by the evaluation that COCO's authors publish."""

    def box(corners: Values) -> dict[str, object]:
        x0, y0, x1, y1 = corners.tolist()
        return {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}

    truth = [
        {"image_id": picture, "category_id": int(one[0]), "iscrowd": 0, **box(one[1:])}
        for picture, boxes in enumerate(targets)
        for one in boxes[boxes[:, 0] >= 0]
    ]
    said = [
        {"image_id": picture, "category_id": int(one[0]), "score": one[1], **box(one[2:])}
        for picture, boxes in enumerate(predictions)
        for one in boxes[boxes[:, 0] >= 0]
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO()
        ground.dataset = {
            "info": {},
            "images": [{"id": picture} for picture in range(len(targets))],
            "categories": [{"id": label} for label in range(3)],
            "annotations": [{"id": number + 1, **one} for number, one in enumerate(truth)],
        }
        ground.createIndex()
        evaluation = COCOeval(ground, ground.loadRes(said), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_coco(seed: int) -> None:
    """On random pictures, at one overlap and at all."""
    predictions, targets = pictures(seed)
    found = measure(predictions, targets, np.arange(20), CLASSES, FEW)
    assert coco(predictions, targets) == pytest.approx((found.at_50_95.mean.value, found.at_50.mean.value))
    assert found.at_50.mean.low < found.at_50.mean.value < found.at_50.mean.high


def test_what_is_drawn_twice_counts_twice() -> None:
    """A draw weighs pictures: that is what pictures that are there as often would come to."""
    predictions, targets = pictures(seed=9)
    drawn = np.array([0, 3, 3, 4, 7, 7, 7, 12, 15, 19])
    for label in range(3):
        total = int((targets[drawn, :, 0] == label).sum())
        weighed = _average(_match(predictions, targets, label, OVERLAPS), np.bincount(drawn, minlength=20), total)
        there = _average(_match(predictions[drawn], targets[drawn], label, OVERLAPS), np.ones(10, np.int64), total)
        assert weighed == pytest.approx(there)


def test_nothing_found_is_nothing() -> None:
    """A detector that says nothing has an average precision of 0, not none."""
    targets = np.array([[[1, 0, 0, 4, 4]]] * 2, np.float64)
    for predictions in (np.zeros((2, 0, 6)), np.array([[NONE]] * 2)):
        found = measure(predictions, targets, np.arange(2), CLASSES, FEW)
        assert (0.0, 0.0) == (found.at_50.mean.value, found.at_50_95.each["b"].high)


def test_what_cant_be_measured_is_told() -> None:
    """Nothing to find, classes that there aren't, boxes of another shape."""
    boxes, none = np.array([[[3, 0.5, 0, 0, 1, 1]]] * 2, np.float64), np.full((2, 1, 5), -1.0)
    with pytest.raises(Immeasurable, match="none in the test part"):
        measure(np.zeros((2, 0, 6)), none, np.arange(2), CLASSES, FEW)
    with pytest.raises(Immeasurable, match="predictions: box 0 of picture 0 is of class 3, not of -1 to 2"):
        measure(boxes, none, np.arange(2), CLASSES, FEW)
    with pytest.raises(Immeasurable, match=r"predictions: are \[2, 1, 5\], and should be \[N, boxes, 6\]"):
        measure(none, none, np.arange(2), CLASSES, FEW)
