"""What is told of an open loop's requests."""

import math

import numpy as np

from service.client.outcome import SKIPPED, UNANSWERED, Outcome

NAN = float("nan")
OUTCOME = Outcome(
    seconds=2.0,
    statuses=np.array([200, 200, 200, 503, 504, SKIPPED, UNANSWERED], np.int16),
    latencies=np.array([0.1, 0.2, 0.3, 0.001, 0.26, NAN, NAN]),
    lags=np.array([0.0, 0.001, 0.002, 0.0, 0.0, NAN, 0.0]),
)


def test_counts_name_what_has_no_status() -> None:
    """Every request is counted once: by status, or as skipped or unanswered."""
    assert {"200": 3, "503": 1, "504": 1, "skipped": 1, "unanswered": 1} == OUTCOME.counts()
    assert 3.5 == OUTCOME.offered
    assert 4 == OUTCOME.count((200, 504))


def test_goodput_is_what_was_answered_in_time() -> None:
    """Only 200s within the bound count, per second of the schedule."""
    assert 1.0 == OUTCOME.goodput(0.25)
    assert 1.5 == OUTCOME.goodput(0.3)


def test_percentiles_are_of_the_named_statuses() -> None:
    """Latencies of rejections don't flatter those of answers; where there are none, nan says so."""
    assert [0.2, 0.3] == OUTCOME.percentiles((200,), (50, 100))
    assert [0.001] == OUTCOME.percentiles((503,), (50,))
    assert all(math.isnan(value) for value in OUTCOME.percentiles((429,), (50, 99)))
    assert 0.002 == OUTCOME.lag(100)
