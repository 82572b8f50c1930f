"""Measuring in turns: what is compared has the same machine, and there is an end to it."""

from collections.abc import Sequence

import pytest

from service.engine.profile import BucketTime
from service.engine.trials.rounds import LEAST, MOST, SECONDS, measure


class Machine:
    """A machine that gets slower by one per cent with every batch; its clock goes on while it computes."""

    def __init__(self, drift: float = 1.01) -> None:
        self.now = 0.0
        self._slower = 1.0
        self._drift = drift

    def __call__(self) -> float:
        return self.now

    def compute(self, seconds: float) -> float:
        self._slower *= self._drift
        self.now += seconds * self._slower
        return seconds * self._slower


class Runtime:
    """A Contender that takes so long for a row on a good day."""

    def __init__(self, machine: Machine, row: float, most: int = 4) -> None:
        self.sizes: list[int] = []
        self._machine = machine
        self._row = row
        self.buckets: Sequence[BucketTime] = [
            BucketTime(rows=rows, median=row * rows, p95=row * rows) for rows in (1, 2, 4) if rows <= most
        ]

    async def sample(self, rows: int) -> list[float]:
        self.sizes.append(rows)
        return [self._machine.compute(self._row * rows)]


async def test_who_is_measured_first_is_no_better_for_it() -> None:
    """Though the machine ends up many times slower, a runtime that takes a tenth more is found to take a tenth more."""
    machine = Machine()
    first, second = await measure([Runtime(machine, 0.0011), Runtime(machine, 0.0010)], machine)

    for slow, fast in zip(first, second, strict=True):
        assert 1.1 == pytest.approx(slow.median / fast.median, rel=0.05)
    assert [1, 2, 4] == [bucket.rows for bucket in first]


@pytest.mark.parametrize("row", [1e-5, 0.01, 0.1, 0.3])
async def test_there_is_an_end_to_it(row: float) -> None:
    """Large batches that there is no time for are left out, for all alike; the rest is measured often enough."""
    machine = Machine(1.0)
    runtimes = [Runtime(machine, row), Runtime(machine, row)]
    found = await measure(runtimes, machine)

    assert machine.now <= SECONDS * (1 + 1 / LEAST)
    assert runtimes[0].sizes == runtimes[1].sizes
    assert 2 * LEAST <= runtimes[0].sizes.count(1) <= 2 * MOST
    assert len(found[0]) == len(found[1]) == len(set(runtimes[0].sizes))


async def test_the_first_size_is_measured_however_long_it_takes() -> None:
    """Once, and nothing else."""
    machine = Machine(1.0)
    runtime = Runtime(machine, 100.0)
    ((bucket,),) = await measure([runtime], machine)

    assert (1, 100.0) == (bucket.rows, bucket.median)
    assert [1, 1] == runtime.sizes


async def test_each_computes_the_sizes_that_it_can() -> None:
    """Who refused large batches at first isn't asked for them; who fails has no times."""

    class Failing(Runtime):
        async def sample(self, rows: int) -> list[float]:
            return []

    machine = Machine(1.0)
    small, large, none = await measure(
        [Runtime(machine, 0.001, most=2), Runtime(machine, 0.001), Failing(machine, 0.001)], machine
    )

    assert [1, 2] == [bucket.rows for bucket in small]
    assert [1, 2, 4] == [bucket.rows for bucket in large]
    assert () == none
    assert [] == await measure([], machine)
