"""Statistics against figures from textbooks and an independent implementation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from training.statistics import class_scores, compare, confusion, share


@pytest.mark.parametrize(
    "hits,count,low,high",
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0)],
)
def test_intervals_are_those_of_the_literature(hits: int, count: int, low: float, high: float) -> None:
    """The Wilson intervals of R. G. Newcombe's comparison (1998), to four places."""
    found = share(hits, count)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(count=st.integers(1, 10_000), part=st.floats(0, 1))
def test_an_interval_holds_its_share(count: int, part: float) -> None:
    """Whatever the counts, the bounds are shares and lie around the value."""
    found = share(round(part * count), count)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize(
    "only_first,only_second,p_value",
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 16, 0.0525), (2, 8, 0.109375), (10, 10, 1.0)],
)
def test_the_paired_test_is_exact(only_first: int, only_second: int, p_value: float) -> None:
    """The two-sided binomial probability, images on which both agree being left out."""
    first = np.array([True] * only_first + [False] * only_second + [True, False] * 7)
    second = np.array([False] * only_first + [True] * only_second + [True, False] * 7)
    found = compare(first, second)
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_value == pytest.approx(p_value, abs=5e-5)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=200))
def test_class_scores_agree_with_an_independent_implementation(pairs: list[tuple[int, int]]) -> None:
    """Confusion, precision, recall and F1 are those of scikit-learn, for classes never seen or said too."""
    labels, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    counts = confusion(labels, predicted, 4)
    assert np.array_equal(counts, confusion_matrix(labels, predicted, labels=range(4)))
    expected = precision_recall_fscore_support(labels, predicted, labels=range(4), zero_division=0)
    scores = class_scores(counts, ("a", "b", "c", "d")).values()
    found = np.array([[score.precision, score.recall, score.f1, score.support] for score in scores])
    assert np.allclose(found.T, np.array(expected))
