"""Choosing tokens."""

import math
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.engine.text.sampler import Sampler, Sampling

LOGITS = np.log(np.array([0.1, 0.5, 0.15, 0.25], np.float32))


def chosen(count: int = 2000, **sampling: float) -> Counter[int]:
    """How often each token is chosen."""
    sampler = Sampler(sampling=Sampling(**({"seed": 1} | sampling)))  # type: ignore[arg-type]
    return Counter(sampler.choose(LOGITS) for _ in range(count))


def test_without_temperature_it_is_the_likeliest() -> None:
    """Always, and the first of equals."""
    assert {1: 2000} == chosen()
    assert 0 == Sampler(sampling=Sampling()).choose(np.zeros(3))


def test_with_temperature_it_is_by_chance() -> None:
    """At 1 as often as the model says, and evener above."""
    counts = chosen(temperature=1.0)
    assert all(abs(counts[token] / 2000 - share) < 0.04 for token, share in enumerate([0.1, 0.5, 0.15, 0.25]))
    assert chosen(temperature=5.0)[1] < counts[1] < chosen(temperature=0.5)[1]


def test_only_some_are_chosen_among() -> None:
    """The likeliest so many, or the fewest with so much of the probability."""
    assert {1, 3} == set(chosen(temperature=1.0, top_k=2))
    assert {1, 3} == set(chosen(temperature=1.0, top_p=0.7))
    assert {1, 3, 2} == set(chosen(temperature=1.0, top_p=0.8))
    assert {1} == set(chosen(temperature=1.0, top_p=0.01))


def test_a_seed_chooses_the_same() -> None:
    """And another one otherwise; without one it differs each time."""
    first, same, other = [Sampler(sampling=Sampling(temperature=1, seed=seed)) for seed in (7, 7, 8)]
    picks = [[sampler.choose(LOGITS) for _ in range(50)] for sampler in (first, same, other)]
    assert picks[0] == picks[1] != picks[2]
    free = [[sampler.choose(LOGITS) for _ in range(50)] for sampler in (_free(), _free())]
    assert free[0] != free[1]


def _free() -> Sampler:
    return Sampler(sampling=Sampling(temperature=1))


@given(
    st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=1, max_size=20),
    st.floats(0, 100),
    st.integers(0, 30),
    st.floats(1e-6, 1),
)
def test_one_of_them_is_chosen(logits: list[float], temperature: float, top_k: int, top_p: float) -> None:
    """What isn't a number, or is without limit, is chosen only where there is nothing else."""
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    token = Sampler(sampling=sampling).choose(np.array(logits, np.float32))

    assert 0 <= token < len(logits)
    assert math.isfinite(logits[token]) or not any(map(math.isfinite, logits))
