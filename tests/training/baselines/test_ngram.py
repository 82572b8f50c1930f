"""The counts that a language model has to beat: probabilities that are ones, and as smooth as they are said to be."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.baselines.ngram import NGram, best_ngram

TEXTS = st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=40), min_size=1, max_size=4)


@given(texts=TEXTS, order=st.integers(1, 4), before=st.lists(st.integers(0, 7), max_size=5))
def test_probabilities_sum_to_one_after_anything(texts: list[list[int]], order: int, before: list[int]) -> None:
    """Whatever was seen, and whatever comes before, all tokens together have probability one, and each has some."""
    model = NGram([np.array(one) for one in texts], order=order, vocabulary=8)
    found = [model.probability(token, before) for token in range(8)]
    assert math.isclose(1.0, sum(found), rel_tol=1e-9)
    assert min(found) > 0


def test_a_token_counts_by_what_it_followed() -> None:
    """Below the highest order: 9, always after 8, is no likelier after something new than 2, as often after others."""
    text = np.array([0, 8, 9, 8, 9, 8, 9, 8, 9, 3, 2, 4, 2, 5, 2, 6, 2])
    model = NGram([text], order=2, vocabulary=12)
    assert model.probability(9, [8]) > 0.5
    assert model.probability(9, [7]) < model.probability(2, [7])


def test_nats_are_minus_the_logarithms() -> None:
    """Of every token but the first, each after what was before it."""
    model = NGram([np.array([0, 1, 2, 1, 2, 3])], order=3, vocabulary=4)
    expected = -math.log(model.probability(1, [0])) - math.log(model.probability(2, [0, 1]))
    assert math.isclose(expected, model.nats(np.array([0, 1, 2])))


def test_validation_decides_the_order() -> None:
    """Where more context helps it is taken, where it misleads it isn't."""
    random = np.random.default_rng(1)
    chance = [random.integers(0, 4, 400) for _ in range(2)]
    periodic = [np.tile([0, 1, 0, 2], 60)] * 2
    assert 1 == best_ngram(chance[:1], chance[1:], orders=(1, 4), vocabulary=4).order
    assert 3 == best_ngram(periodic[:1], periodic[1:], orders=(1, 2, 3), vocabulary=4).order
