"""A model and a baseline on the same draws: what they promise, held against formulas and simulation; what is drawn."""

from typing import Any

import numpy as np
import pytest

from training.bootstrap import Figure, Resampling, Statistic
from training.comparison import Against, difference, differences, verdict, verdict_of_pairs
from training.data.material import Material
from training.data.split import Dataset, Split
from training.metrics.retrieval import Episodes
from training.problems.anomaly import Anomaly
from training.problems.classification import Classification
from training.problems.detection import Detection
from training.problems.generation import Generation
from training.problems.problem import Problem
from training.problems.regression import Regression
from training.problems.retrieval import Retrieval
from training.problems.segmentation import Segmentation
from training.problems.tagging import Tagging
from training.statistics import Z_95, Values, compare

FEW = Resampling(rounds=200)


def mean_of(values: Values) -> Statistic:
    return lambda chosen: np.asarray(values[chosen].mean())


def means_of(values: Values) -> Statistic:
    return lambda chosen: values[chosen].mean(axis=0)


def test_the_interval_is_that_of_the_pairs() -> None:
    """1.96 standard errors of the differences, however much sources differ from each other."""
    random = np.random.default_rng(1)
    hard, gain = random.normal(0, 10, 400), random.normal(0.3, 1, 400)
    found = difference(mean_of(hard + gain), mean_of(hard), np.arange(400))
    error = gain.std() / np.sqrt(400)
    assert pytest.approx(gain.mean()) == found.value
    assert (gain.mean() - Z_95 * error, gain.mean() + Z_95 * error) == pytest.approx((found.low, found.high), abs=0.02)
    alone = (hard + gain).std() / np.sqrt(400)
    assert found.high - found.low < 0.2 * 2 * Z_95 * alone


def test_equals_are_seldom_told_apart() -> None:
    """Of 150 test parts in which both are as good, about one in twenty says that one is better."""
    random = np.random.default_rng(2)
    told = []
    for _ in range(150):
        own, rival = (mean_of(random.normal(size=60)) for _ in range(2))
        told.append(verdict(difference(own, rival, np.arange(60), FEW), smaller=True))
    assert 2 <= sum(one != "equal within the interval" for one in told) <= 18


def test_views_of_a_source_go_together() -> None:
    """Each source shown four times is no more evidence than once."""
    gain = np.random.default_rng(3).normal(0.2, 1, 50)
    once = difference(mean_of(gain), mean_of(0 * gain), np.arange(50))
    often = np.repeat(gain, 4)
    shown = difference(mean_of(often), mean_of(0 * often), np.repeat(np.arange(50), 4))
    assert (once.value, once.low, once.high) == pytest.approx((shown.value, shown.low, shown.high))


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_few_errors_are_no_proof(lost: int) -> None:
    """One that errs on up to three of 45 inputs isn't worse than one that errs on none: the sign test's p is 0.25."""
    right = np.arange(45) >= lost
    found = difference(mean_of(right.astype(float)), mean_of(np.ones(45)), np.arange(45))
    assert (-lost / 45, 0.0) == pytest.approx((found.value, found.high))
    assert "equal within the interval" == verdict(found, smaller=False)


@pytest.mark.parametrize(
    "low, high, smaller, said",
    [
        (-2, -1, True, "better"),
        (-2, -1, False, "worse"),
        (1, 2, True, "worse"),
        (1, 2, False, "better"),
        (-1, 2, False, "equal within the interval"),
        (0, 2, False, "equal within the interval"),
        (0, 0, True, "equal within the interval"),
    ],
)
def test_what_touches_zero_is_equal(low: float, high: float, said: str, *, smaller: bool) -> None:
    """Better and worse are said beyond the interval alone, the one where the figure ought to be smaller or larger."""
    assert said == verdict(Figure(value=(low + high) / 2, low=low, high=high), smaller=smaller)


def test_of_many_slices_none_is_worse_by_chance() -> None:
    """Of forty pairs of twelve slices that are all alike, at most a few say that one differs; alone, half would."""
    random = np.random.default_rng(4)
    names = [f"slice {number}" for number in range(12)]
    once, alone = 0, 0
    for _ in range(40):
        values = random.normal(size=(80, 12))
        found = differences(means_of(values), means_of(0 * values), names, np.arange(80), FEW)
        assert names == list(found)
        once += any(verdict(one, smaller=False) != "equal within the interval" for one in found.values())
        each = [difference(mean_of(column), mean_of(0 * column), np.arange(80), FEW) for column in values.T]
        alone += any(verdict(one, smaller=False) != "equal within the interval" for one in each)
    assert (once <= 8, alone >= 12) == (True, True)


def test_many_slices_are_drawn_often_enough_for_what_they_promise() -> None:
    """Of a hundred, each end leaves out one of 4000 draws, which is 3.48 standard errors; those of 1000 end at 3.16."""
    values = np.random.default_rng(6).normal(size=(200, 100))
    names = [str(number) for number in range(100)]
    found = differences(means_of(values), means_of(0 * values), names, np.arange(200))
    errors = values.std(axis=0) / np.sqrt(200)
    widths = np.array([one.high - one.low for one in found.values()]) / (2 * errors)
    assert widths.mean() == pytest.approx(3.48, abs=0.12)


def test_a_slice_that_a_part_lacks_is_left_out() -> None:
    """Its figure is no number in the whole part."""

    def figures(chosen: Any) -> Values:
        return np.array([np.nan, len(chosen)])

    assert ["there"] == list(differences(figures, figures, ["missing", "there"], np.arange(9), FEW))


def test_what_fell_beyond_chance_is_named_worst_first() -> None:
    """By the side on which an interval lies, whichever value is the better one."""
    slices = {
        "a": Figure(value=-0.1, low=-0.2, high=-0.05),
        "b": Figure(value=-0.3, low=-0.4, high=0.0),
        "c": Figure(value=-0.2, low=-0.3, high=-0.1),
        "d": Figure(value=0.5, low=0.4, high=0.6),
    }
    against = Against(difference=slices["a"], verdict="worse", sliced="recall", slices=slices)
    assert (["c", "a"], ["d"]) == (against.fallen(smaller=False), against.fallen(smaller=True))


@pytest.mark.parametrize(
    "won, lost, said", [(0, 5, "equal within the interval"), (0, 6, "worse"), (6, 0, "better"), (20, 20, "equal")]
)
def test_pairs_are_judged_by_who_was_right(won: int, lost: int, said: str) -> None:
    """Six of six have a chance of 3 %, five of five one of 6 %."""
    own, rival = (np.repeat([first, not first, True], [won, lost, 40]) for first in (True, False))
    assert verdict_of_pairs(compare(own, rival, np.arange(len(own)))).startswith(said)


COUNT = 90
NAMES = ("a", "b", "c")


def made(kind: type[Any]) -> tuple[dict[str, Any], Material]:
    """Answers of a kind of problem by chance, nearer to what is wanted than chance, and the data."""
    random = np.random.default_rng(5)
    inputs, labels = np.zeros((COUNT, 1, 8, 8), np.uint8), random.integers(0, 3, COUNT)
    noise = random.normal(size=(COUNT, 8, 8, 3))
    likely = {
        "probabilities": 0.3 * np.eye(3)[labels] + 0.7 * random.dirichlet([1, 1, 1], COUNT),
        "embedding": np.eye(3)[labels] + noise[:, 0, 0],
    }
    tags = random.integers(-1, 3, (COUNT, 8))
    masks = random.integers(0, 3, (COUNT, 8, 8))
    corners = random.integers(0, 4, (COUNT, 2, 2))
    boxes = np.concatenate([random.integers(0, 3, (COUNT, 2, 1)), corners, corners + 4], axis=2).astype(np.float32)
    found = np.insert(boxes, 1, random.random((COUNT, 2)), axis=2)
    found[:, :, 2:] += random.integers(0, 2, (COUNT, 2, 4))
    kinds: dict[type[Any], Any] = {
        Classification: (labels, {"probabilities": likely["probabilities"]}),
        Regression: (noise[:, 0, :2, 0], {"values": noise[:, 0, :2, 0] + noise[:, 1, :2, 0]}),
        Tagging: (np.where(tags < 0, -100, tags), {"tags": np.where(noise[:, 0, :, 0] < 0, 0, np.maximum(tags, 0))}),
        Retrieval: (labels, {"embedding": likely["embedding"]}),
        Segmentation: (masks, {"mask": np.where(noise[..., 0] < 0, 0, masks).astype(np.uint8)}),
        Detection: (boxes, {"boxes": found}),
        Anomaly: (labels // 2, {"score": labels[:, None] + noise[:, 0, :1, 0] ** 2, "reconstruction": inputs / 255}),
    }
    targets, answers = kinds[kind]
    split = Split(inputs=inputs, targets=targets, sources=np.arange(COUNT))
    return answers, Material(dataset=Dataset(train=split, validation=split, test=split, classes=NAMES))


PROBLEMS: dict[type[Any], Any] = {
    **{kind: kind() for kind in (Classification, Regression, Tagging, Segmentation, Detection, Anomaly)},
    Retrieval: Retrieval(episodes=Episodes(ways=3)),
}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_is_compared_is_the_figure_that_decides(kind: type[Any]) -> None:
    """Of the whole part it is the headline figure as it is reported; of a draw, that of another part."""
    answers, material = made(kind)
    problem, test = PROBLEMS[kind], material.dataset.test
    deciding = problem.deciding(answers, test, material)
    told = problem.measure(answers, test, material).figures[problem.headline].value
    assert deciding(np.arange(COUNT)) == pytest.approx(told)
    chosen = np.random.default_rng(1).integers(0, COUNT, COUNT)
    assert deciding(chosen) != pytest.approx(told, abs=1e-9)
    assert deciding(chosen) == pytest.approx(told, rel=0.5)


SLICED = {Classification: "recall", Regression: "rmse", Tagging: "f1", Segmentation: "iou", Detection: "map50"}


@pytest.mark.parametrize("kind", PROBLEMS)
def test_slices_are_the_figures_that_are_told_by_class(kind: type[Any]) -> None:
    """Under the same names; a problem that tells none has none."""
    answers, material = made(kind)
    problem, test = PROBLEMS[kind], material.dataset.test
    slices = problem.slices(answers, test, material)
    assert SLICED.get(kind) == (slices.figure if slices else None)
    if slices:
        told = problem.measure(answers, test, material).by[slices.figure]
        found = dict(zip(slices.names, slices.statistic(np.arange(COUNT)).tolist(), strict=True))
        assert {name: one.value for name, one in told.items()} == pytest.approx(found)


def test_only_classes_are_right_or_wrong() -> None:
    """Then the share that is right is the headline figure."""
    for kind, problem in PROBLEMS.items():
        answers, material = made(kind)
        right = problem.right(answers, material.dataset.test)
        assert (right is not None) == (kind is Classification)
    answers, material = made(Classification)
    right = Classification().right(answers, material.dataset.test)
    told = Classification().measure(answers, material.dataset.test, material)
    assert right.mean() == told.figures["accuracy"].value


def test_images_that_are_drawn_are_no_pairs() -> None:
    """They are answers to noise, and nothing in a test part is theirs."""
    _, material = made(Classification)
    problem: Problem = Generation()
    assert problem.deciding({}, material.dataset.test, material) is None
