"""Statistics against figures from textbooks and an independent implementation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from training.data.split import NO_TAG
from training.statistics import class_scores, compare, confusion, numbered, scores, share, tally


@pytest.mark.parametrize(
    "hits,count,low,high",
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (20, 20, 0.8389, 1.0)],
)
def test_intervals_are_those_of_the_literature(hits: int, count: int, low: float, high: float) -> None:
    """With one view of each image: the Wilson intervals of R. G. Newcombe's comparison (1998), to four places."""
    found = share(np.arange(count) < hits, np.arange(count))
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(right=st.lists(st.booleans(), min_size=1, max_size=300), views=st.integers(1, 9))
def test_an_interval_holds_its_share(right: list[bool], views: int) -> None:
    """Whatever is right, the bounds are shares and lie around the value, which is that of the images."""
    found = share(np.array(right), np.arange(len(right)) // views)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (sum(right), len(right)) == (found.hits, found.count)


@given(right=st.lists(st.booleans(), min_size=1, max_size=100), views=st.integers(1, 9))
def test_views_that_agree_count_for_one(right: list[bool], views: int) -> None:
    """Showing every image often, with the same answer each time, makes no figure surer."""
    once = share(np.array(right), np.arange(len(right)))
    often = share(np.repeat(right, views), np.repeat(np.arange(len(right)), views))
    assert (once.value, once.low, once.high) == pytest.approx((often.value, often.low, often.high))


@given(right=st.lists(st.booleans(), min_size=2, max_size=100), views=st.integers(1, 9))
def test_views_never_count_for_more_than_as_many_images(right: list[bool], views: int) -> None:
    """The interval is no narrower than if every view were an image of its own, nor wider than with one view each."""
    right = right * views
    found = share(np.array(right), np.arange(len(right)) // views)
    plain = share(np.array(right), np.arange(len(right)))
    assert found.low <= plain.low + 1e-12
    assert found.high >= plain.high - 1e-12


@pytest.mark.parametrize(
    "only_first,only_second,p_value",
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (6, 16, 0.0525), (2, 8, 0.109375), (10, 10, 1.0)],
)
def test_the_paired_test_is_exact(only_first: int, only_second: int, p_value: float) -> None:
    """With one view of each: the two-sided binomial probability, images on which both agree being left out."""
    first = np.array([True] * only_first + [False] * only_second + [True, False] * 7)
    second = np.array([False] * only_first + [True] * only_second + [True, False] * 7)
    found = compare(first, second, np.arange(len(first)))
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_value == pytest.approx(p_value, abs=5e-5)


PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


@given(pairs=PAIRS, views=st.integers(1, 5))
def test_the_paired_test_is_the_same_from_both_sides(pairs: list[tuple[bool, bool]], views: int) -> None:
    """Which model is called first changes the counts' order and nothing else; the p-value is a probability."""
    first, second = np.array(pairs).T
    sources = np.arange(len(pairs)) // views
    one, other = compare(first, second, sources), compare(second, first, sources)
    assert (one.only_first, one.only_second) == (other.only_second, other.only_first)
    assert one.p_value == pytest.approx(other.p_value)
    assert 0 < one.p_value <= 1


@given(pairs=PAIRS)
def test_the_paired_test_of_single_views_is_that_of_mcnemar(pairs: list[tuple[bool, bool]]) -> None:
    """With one view of each it agrees with the binomial formula of the literature."""
    first, second = np.array(pairs).T
    found = compare(first, second, np.arange(len(pairs)))
    differing, fewer = found.only_first + found.only_second, min(found.only_first, found.only_second)
    tail = sum(math.comb(differing, k) for k in range(fewer + 1)) / 2**differing
    assert found.p_value == pytest.approx(min(1.0, 2 * tail))


@given(pairs=PAIRS, views=st.integers(1, 5))
def test_views_that_agree_make_no_difference_more_certain(pairs: list[tuple[bool, bool]], views: int) -> None:
    """Showing every image often, with the same answers each time, leaves the p-value as it was."""
    first, second = np.array(pairs).T
    sources = np.arange(len(pairs))
    once = compare(first, second, sources)
    often = compare(np.repeat(first, views), np.repeat(second, views), np.repeat(sources, views))
    assert once.p_value == pytest.approx(often.p_value)


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


def test_tallies_are_those_of_a_confusion_matrix() -> None:
    """Row by row: its diagonal, column sums and row sums; what has no target isn't counted, whatever was said of it."""
    random = np.random.default_rng(7)
    targets, predicted = random.integers(0, 4, (5, 30)), random.integers(0, 4, (5, 30))
    targets[:, 20:], predicted[0, 25] = NO_TAG, NO_TAG
    found = tally(predicted, targets, 4)
    for row, said, true in zip(found, predicted, targets, strict=True):
        counts = confusion_matrix(true[:20], said[:20], labels=range(4))
        assert [counts.diagonal().tolist(), counts.sum(axis=0).tolist(), counts.sum(axis=1).tolist()] == row.tolist()


def test_scores_of_a_class_that_isnt_there() -> None:
    """It has none, though it was said; one that was never said has a precision of 0."""
    found = scores(np.array([0, 0, 3]), np.array([2, 0, 3]), np.array([0, 2, 3]))
    assert np.isnan(found[:, 0]).all()
    assert [[0, 0, 0], [1, 1, 1]] == found[:, 1:].T.tolist()


def test_numbers_keep_grouping_and_order() -> None:
    """Equal values have equal numbers, larger ones larger, without gaps."""
    assert [1, 0, 2, 1] == numbered(np.array([0.5, -3e9, 7e9, 0.5])).tolist()
