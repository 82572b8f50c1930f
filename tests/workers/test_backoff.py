"""When a worker is started again, and when it isn't counted on any more."""

from service.engine.scheduling.crew import HOPELESS
from service.workers.backoff import EXCUSES, FIRST, LONGEST, Backoff


def test_the_wait_doubles_with_each_useless_start() -> None:
    """From nothing to a bound; one that was of use begins anew."""
    backoff = Backoff()
    waits = [backoff.delay]
    for _ in range(12):
        backoff.ended(useful=False)
        waits.append(backoff.delay)

    assert [0.0, FIRST, 2 * FIRST, 4 * FIRST] == waits[:4]
    assert LONGEST == waits[-1]
    backoff.ended(useful=True)
    assert (0, 0.0) == (backoff.failures, backoff.delay)


def test_ends_that_jobs_caused_do_not_count() -> None:
    """So many different ones in a row as are plausible never make it hopeless, nor does the next one wait."""
    backoff = Backoff()
    for _ in range(EXCUSES):
        crash_twice(backoff)
        assert (0, 0.0) == (backoff.failures, backoff.delay)


def test_a_worker_that_ends_whatever_it_is_given_becomes_hopeless() -> None:
    """Where no answer comes in between, it isn't the jobs; waits grow, until it has answered."""
    backoff = Backoff()
    for _ in range(EXCUSES + HOPELESS):
        crash_twice(backoff)
    assert backoff.failures >= HOPELESS
    assert backoff.delay > FIRST

    backoff.succeeded()
    crash_twice(backoff)
    assert 0 == backoff.failures


def crash_twice(backoff: Backoff) -> None:
    """As a job does that is found to be the cause the second time."""
    for _ in range(2):
        backoff.ended(useful=False)
    backoff.excuse()
