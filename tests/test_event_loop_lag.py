"""How late the event loop is."""

import asyncio
import time

from service.event_loop_lag import PERIOD, EventLoopLag
from service.histogram import Histogram
from service.metrics import SECONDS
from tests.engine.virtual_time import in_virtual_time


@in_virtual_time
async def test_an_idle_loop_is_in_time() -> None:
    """About four looks a second, none of them late."""
    lag = Histogram(SECONDS)
    EventLoopLag(lag).start()
    await asyncio.sleep(10 * PERIOD + 0.01)

    assert (10, 10) == (sum(lag.counts), lag.counts[0])


async def test_a_loop_that_stands_still_is_seen_meanwhile() -> None:
    """By others: it comes to no look, and grows later and later; none is late before it runs, nor afterwards."""
    lag = EventLoopLag(Histogram(SECONDS))
    assert 0 == lag.overdue()
    lag.start()
    assert 0 == lag.overdue()
    time.sleep(PERIOD + 0.2)  # noqa: ASYNC251  (the fault)
    assert 0.2 <= lag.overdue() < 5
    await asyncio.sleep(0.01)
    assert 0 == lag.overdue()


async def test_who_holds_the_loop_is_seen() -> None:
    """What holds it when a look is due makes that look late, by as long."""
    lag = Histogram(SECONDS)
    EventLoopLag(lag).start()
    time.sleep(PERIOD + 0.2)  # noqa: ASYNC251  (the fault)
    await asyncio.sleep(0.01)

    assert 1 == sum(lag.counts)
    assert lag.total >= 0.19
