"""A remote model as one generation among others: it can be foreseen to refuse, and leaves when all is answered."""

import asyncio

import pytest

from service.engine.remote.breaker import FAILURES
from service.engine.servable import Servable
from service.engine.source import EngineLimits
from service.errors import HoneError, InvalidRequest, NotReady, QueueFull
from tests.engine.remote.asking import ask, loaded, remote_model, send
from tests.engine.remote.triton import SmallTriton, identity, rows, running


async def test_drained() -> None:
    """It is waited for until the last answer is there, and not longer than is said."""
    triton = identity()
    triton.gate.clear()
    async with running(triton), loaded(triton.address) as model:
        served: Servable = model
        client, _ = send(served, rows(1))
        assert not await served.drain(0.01)
        draining = asyncio.create_task(served.drain(10))
        await asyncio.sleep(0)
        triton.gate.set()

        assert await draining
        assert await client.ending() is None


async def test_never_loaded() -> None:
    """Before the remote has said anything nothing can be under way, and every request is refused unread."""
    model = remote_model(None)

    assert await model.drain(0)
    with pytest.raises(NotReady, match="still loading"):
        model.precheck(None)


async def test_foreseen() -> None:
    """A request is refused before it is read while the remote can't be reached, or has as many as it may."""
    triton = identity()
    async with running(triton), loaded(triton.address, limits=EngineLimits(max_queued_requests=1)) as model:
        model.precheck(None)
        triton.gate.clear()
        client, _ = send(model, rows(1))
        with pytest.raises(QueueFull):
            model.precheck(None)
        triton.gate.set()
        await client.ending()
        await triton.stop()
        for _ in range(FAILURES):
            with pytest.raises(HoneError):
                await ask(model, rows(1), timeout=1.0)
        with pytest.raises(NotReady):
            model.precheck(None)


async def test_rows_are_the_remote_server_s() -> None:
    """A request with more rows than the remote takes isn't split here, but refused."""
    triton = SmallTriton([("x", "FP32", (-1, 3))], [("y", "FP32", (-1, 3))], max_batch_size=2)
    async with running(triton), loaded(triton.address) as model:
        await ask(model, rows(1, 2))
        with pytest.raises(InvalidRequest, match='3 rows, model "m" takes 1 to 2'):
            send(model, rows(1, 2, 3))
