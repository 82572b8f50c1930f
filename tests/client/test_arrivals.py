"""Arrival times are a Poisson process, and the same for a seed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.client.arrivals import poisson


@given(rate=st.floats(0.1, 1000), seconds=st.floats(0.01, 2), seed=st.integers(0, 2**32))
def test_times_ascend_within_the_span(rate: float, seconds: float, seed: int) -> None:
    """All times lie in order between 0 and the end, and a seed gives the same ones again."""
    times = poisson(rate, seconds, seed)

    assert sorted(times) == times == poisson(rate, seconds, seed)
    assert all(0 <= time < seconds for time in times)


def test_gaps_are_exponential() -> None:
    """Their number is near rate times seconds, and gaps deviate as much as they last, as independent ones do."""
    times = poisson(1000, 50, 7)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5

    assert 49_000 < len(times) < 51_000
    assert 0.97 < deviation / mean < 1.03


@pytest.mark.parametrize("rate, seconds", [(0, 1), (1, 0), (-1, 1)])
def test_no_rate_is_an_error(rate: float, seconds: float) -> None:
    """Rate and span must be above 0, and the error says what they were."""
    with pytest.raises(ValueError, match="both must be above 0"):
        poisson(rate, seconds, 1)
