"""Lingering for a fuller batch: only when it pays, and only while clients come back."""

from service.engine.profile import BucketTime, LatencyProfile
from service.engine.scheduling.linger import LONGEST, Linger

COSTLY_START = LatencyProfile(
    [BucketTime(rows=rows, median=0.040 + 0.002 * rows, p95=1.0) for rows in (1, 2, 4, 8, 16, 32)], clock=lambda: 0.0
)
"""40 ms for a batch, 2 ms for each row: a joint batch saves 40 ms."""
NOTHING_TO_SAVE = LatencyProfile(
    [BucketTime(rows=rows, median=0.010 * rows, p95=1.0) for rows in (1, 2, 4, 8)], clock=lambda: 0.0
)


def test_it_waits_for_those_that_were_just_answered() -> None:
    """A few milliseconds for a batch of tens: until they are back, and no longer."""
    linger = Linger()
    linger.answered(20)

    until = linger.until(12, 32, 0.0, COSTLY_START)
    assert 0.001 <= until <= LONGEST
    assert until == linger.until(20, 32, until / 2, COSTLY_START)
    assert 0.0 == linger.until(32, 32, until / 2, COSTLY_START)


def test_nothing_waits_when_nothing_would_be_saved() -> None:
    """A model that takes as long for a row in any batch gains nothing by waiting."""
    linger = Linger()
    linger.answered(4)

    assert 0.0 == linger.until(3, 8, 0.0, NOTHING_TO_SAVE)


def test_a_request_to_an_idle_worker_never_waits() -> None:
    """Where nothing was waiting when the last answers went out, the next request is taken at once."""
    linger = Linger()
    linger.answered(1)
    assert 0.0 == linger.until(0, 32, 0.0, COSTLY_START)
    assert 0.0 == linger.until(1, 32, 0.1, COSTLY_START)


def test_it_stops_waiting_for_clients_that_do_not_come_back() -> None:
    """Arrivals that don't depend on answers teach it not to wait; now and then it looks whether that is still so."""
    linger = Linger()
    waits = 0
    for _ in range(100):
        linger.answered(20)
        until = linger.until(12, 32, 0.0, COSTLY_START)
        waits += until > 0
        if until:
            assert 0.0 == linger.until(12, 32, until, COSTLY_START)

    assert 5 < waits < 50
