"""Finding what is alike: cases by hand, scikit-learn's neighbours, and classes from a few examples."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from training.bootstrap import Resampling
from training.errors import Immeasurable
from training.metrics.retrieval import Episodes, few_shot, measure
from training.statistics import Values

FEW = Resampling(rounds=60)


def test_by_hand() -> None:
    """On a line at 0 1 3 4.5 8, classes a b a a b.

    Asked at 0: b a a, R 2, (0 + 1/2) / 2. At 1: a a a b, R 1, 0. At 3: nearest 4.5 (a), then 1 (b): (1 + 0) / 2. At
    4.5: 3 (a), then 1 or 8 (b): 1/2. At 8: 4.5 (a): 0.
    """
    line = np.array([[0.0], [1.0], [3.0], [4.5], [8.0]])
    found = measure(line, np.array([0, 1, 0, 0, 1]), np.arange(5), (1, 2, 4), FEW)
    assert [2 / 5, 3 / 5, 1.0] == pytest.approx([one.value for one in found.recall.values()])
    assert pytest.approx((0.25 + 0 + 0.5 + 0.5 + 0) / 5) == found.map_at_r.value


def clouds(count: int = 90, seed: int = 1) -> tuple[Values, np.ndarray]:
    """Points around three centres, and of which they are."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return random.normal(size=(count, 4)) + 1.2 * np.eye(4)[labels], labels


def test_recall_is_that_of_nearest_neighbours() -> None:
    """As scikit-learn finds them, the query itself left out; more than one block of queries makes no difference."""
    points, labels = clouds(600)
    found = measure(points, labels, np.arange(600), (1, 5), FEW)
    nearest = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(points, return_distance=False)[:, 1:]
    right = labels[nearest] == labels[:, None]
    assert pytest.approx(right[:, :1].any(axis=1).mean()) == found.recall[1].value
    assert pytest.approx(right.any(axis=1).mean()) == found.recall[5].value
    assert found.recall[1].low < found.recall[1].value < found.recall[1].high
    assert found.map_at_r.low < found.map_at_r.value < found.map_at_r.high


def test_views_of_the_query_arent_found() -> None:
    """Another view of the same thing is no success: with two of each, figures are those among the others."""
    points, labels = clouds()
    once = measure(points, labels, np.arange(90), (1,), FEW)
    twice = measure(np.repeat(points, 2, axis=0), np.repeat(labels, 2), np.repeat(np.arange(90), 2), (1,), FEW)
    assert pytest.approx(once.recall[1].value) == twice.recall[1].value
    assert (once.recall[1].low, once.recall[1].high) == pytest.approx((twice.recall[1].low, twice.recall[1].high))


def test_few_examples_of_far_classes_suffice() -> None:
    """Classes far apart are told apart always, equal ones as often as by chance; the same seed draws the same."""
    points, labels = clouds()
    episodes = Episodes(count=100, ways=3, shots=2, queries=5)
    far = few_shot(100 * np.eye(3)[labels], labels, np.arange(90), episodes)
    chance = few_shot(np.random.default_rng(5).normal(size=(90, 4)), labels, np.arange(90), episodes, seed=3)
    assert (1.0, 1.0, 1.0) == (far.low, far.value, far.high)
    assert chance.low < chance.value < chance.high
    assert pytest.approx(1 / 3, abs=0.06) == chance.value
    first, again, other = (few_shot(points, labels, np.arange(90), episodes, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_views_of_an_example_arent_asked() -> None:
    """One view of each source is enough: others change nothing, and don't answer for themselves."""
    points, labels = clouds()
    episodes = Episodes(count=50, ways=3, shots=2, queries=5)
    once = few_shot(points, labels, np.arange(90), episodes)
    assert once == few_shot(np.repeat(points, 3, axis=0), np.repeat(labels, 3), np.repeat(np.arange(90), 3), episodes)


def test_a_prototype_is_the_mean_of_its_examples() -> None:
    """A class at -10 and 10 has it near 0: what is at 10 is taken for the class at 9, whatever was an example."""
    points = np.concatenate([np.tile([-10.0, 10.0], 10), np.full(20, 9.0)])[:, None]
    episodes = Episodes(count=200, ways=2, shots=12, queries=8)
    found = few_shot(points, np.repeat([0, 1], 20), np.arange(40), episodes)
    assert pytest.approx(0.75, abs=0.02) == found.value


def test_what_cant_be_measured_is_told() -> None:
    """A class of one source, more neighbours than there are, too few classes or examples, no episodes."""
    points, labels = np.arange(8.0)[:, None], np.array([0, 0, 0, 1, 1, 1, 1, 1])
    with pytest.raises(Immeasurable, match="class 0 has one source alone"):
        measure(points, labels, np.array([1, 1, 1, 2, 3, 4, 5, 6]), (1,), FEW)
    with pytest.raises(Immeasurable, match="ks: must be at least 1, and below the 8"):
        measure(points, labels, np.arange(8), (1, 8), FEW)
    with pytest.raises(Immeasurable, match=r"episodes\.ways: 3 are asked of 2 classes; ask for fewer"):
        few_shot(points, labels, np.arange(8), Episodes(ways=3, shots=1, queries=1))
    with pytest.raises(Immeasurable, match="2 and 2 are asked, and class 0 has 3 sources"):
        few_shot(points, labels, np.arange(8), Episodes(ways=2, shots=2, queries=2))
    with pytest.raises(ValueError, match="shots, queries: at least 1"):
        Episodes(shots=0)
