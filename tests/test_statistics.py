from hypothesis import given
from hypothesis import strategies as st

from service.statistics import Statistics

SECONDS = st.floats(0, 10)
BATCHES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 8), st.tuples(SECONDS, SECONDS, SECONDS)), max_size=20)


@given(BATCHES)
def test_each_request_has_taken_as_long_as_its_batch(
    batches: list[tuple[int, int, tuple[float, float, float]]],
) -> None:
    """The sums over requests count a batch once for each; those by size count it once."""
    statistics = Statistics()
    for requests, rows, phases in batches:
        statistics.computed(requests, rows, phases)

    assert sum(requests for requests, _, _ in batches) == statistics.computed_requests
    assert {rows for _, rows, _ in batches} == set(statistics.batches)
    for phase in range(3):
        whole = sum(requests * phases[phase] for requests, _, phases in batches)
        assert abs(whole - statistics.phases[phase]) < 1e-6
        for size, times in statistics.batches.items():
            those = [phases[phase] for _, rows, phases in batches if rows == size]
            assert len(those) == times.count
            assert abs(sum(those) - times.phases[phase]) < 1e-6


def test_what_ended_badly_is_a_failure() -> None:
    """Both are counted with their time; nothing was computed yet, so there is no last inference."""
    statistics = Statistics()
    statistics.ended(3, 1.5, well=True)
    statistics.ended(1, 0.25, well=False)

    assert (3, 1.5, 1, 0.25) == (
        statistics.successes,
        statistics.success_seconds,
        statistics.failures,
        statistics.failure_seconds,
    )
    assert 0 == statistics.last_inference
