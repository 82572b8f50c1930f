"""What texts cost, in the units that people read."""

import math

import numpy as np
import pytest

from training.bootstrap import Resampling
from training.errors import Immeasurable
from training.metrics.language import Surprise, measure, total

FEW = Resampling(rounds=100)


def test_surprise_in_two_units() -> None:
    """Choosing among sixteen equal tokens of two bytes each: perplexity 16, two bits a byte; texts add up."""
    one = Surprise(nats=3 * math.log(16), tokens=3, bytes=6)
    assert pytest.approx(16.0) == one.perplexity
    assert pytest.approx(2.0) == one.bits_per_byte
    assert Surprise(nats=2 * one.nats, tokens=6, bytes=12) == total([one, one])


def test_figures_are_those_of_all_texts_together() -> None:
    """A long text counts for more than a short one; texts that cost differently leave room for chance."""
    random = np.random.default_rng(1)
    texts = [
        Surprise(nats=float(tokens * random.uniform(1, 3)), tokens=int(tokens), bytes=int(3 * tokens))
        for tokens in random.integers(10, 200, 40)
    ]
    found, whole = measure(texts, FEW), total(texts)
    assert pytest.approx(whole.perplexity) == found.perplexity.value
    assert pytest.approx(whole.bits_per_byte) == found.bits_per_byte.value
    assert found.perplexity.low < found.perplexity.value < found.perplexity.high
    assert found.bits_per_byte.low < found.bits_per_byte.value < found.bits_per_byte.high


def test_what_cant_be_measured_is_told() -> None:
    """No text, a text without a token, a cost that is no number."""
    good = Surprise(nats=1.0, tokens=1, bytes=1)
    with pytest.raises(Immeasurable, match="empty"):
        measure([], FEW)
    with pytest.raises(Immeasurable, match="text 1 has no token"):
        measure([good, Surprise(nats=0.0, tokens=0, bytes=3)], FEW)
    with pytest.raises(Immeasurable, match=r"surprises: 1 values are NaN or infinite, the first at \[1, 0\]"):
        measure([good, Surprise(nats=math.nan, tokens=1, bytes=1)], FEW)
