"""How the gRPC door closes: for whom it waits, and how long."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2 as pb

from service.logs import LogControl
from service.protocol.client_memory import ClientMemory
from service.protocol.grpc.server import GrpcServer
from tests.contract.double_engine import SLOW, DoubleEngine
from tests.contract.live import LIMITS, PATIENCE
from tests.contract.live_grpc import INFER, request

LONG = 60.0
MANY = 300
BUSY = 0.1


@dataclass(frozen=True, kw_only=True)
class Door:
    """A server on the loop of its test, and a channel to it."""

    server: GrpcServer
    engine: DoubleEngine
    channel: grpc.aio.Channel
    address: str

    async def begun(self, model: str) -> grpc.aio.UnaryUnaryCall[bytes, bytes]:
        """A call that is under way."""
        call = self.channel.unary_unary(INFER)(request(model).SerializeToString())
        await eventually(lambda: bool(self.engine.waiting))
        return call


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """One for each test."""
    engine = DoubleEngine()
    server = GrpcServer(engine, LIMITS, LogControl(), ClientMemory(allowed=False))
    port = server.bind("127.0.0.1", 0)
    await server.start()
    address = f"127.0.0.1:{port}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield Door(server=server, engine=engine, channel=channel, address=address)
    await server.stop(0)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; fail after PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "the condition never came true"
        await asyncio.sleep(0.001)


async def test_who_watches_its_health_holds_nobody_up(door: Door) -> None:
    """A watcher never ends by itself: it hears that the server isn't ready any more, and that was all."""
    watching = health_pb2_grpc.HealthStub(door.channel).Watch(health_pb2.HealthCheckRequest())
    told = aiter(watching)
    assert 1 == (await anext(told)).status
    door.engine.is_ready = False
    await asyncio.wait_for(door.server.stop(LONG), PATIENCE)

    assert [2] == [one.status async for one in told]
    assert grpc.StatusCode.OK is await watching.code()


async def test_what_is_under_way_has_all_of_its_time(door: Door) -> None:
    """Also where that is less than the time in which calls are still taken."""
    call = await door.begun("slow")
    await door.server.stop(2 * SLOW)

    assert "slow" == pb.ModelInferResponse.FromString(await call).model_name


async def test_nobody_is_waited_for_without_time(door: Door) -> None:
    """What is under way is cancelled then, and leaves the queue."""
    call = await door.begun("never")
    await asyncio.wait_for(door.server.stop(0), PATIENCE)

    assert grpc.StatusCode.OK is not await call.code()
    await eventually(lambda: not door.engine.waiting)


async def test_asked_again_it_waits_no_more(door: Door) -> None:
    """However often it is asked; no task of its own is left behind."""
    before = asyncio.all_tasks()
    call = await door.begun("never")
    stopping = asyncio.create_task(door.server.stop(LONG))
    await asyncio.sleep(0)
    door.server.force_exit()
    door.server.force_exit()
    await asyncio.wait_for(stopping, PATIENCE)

    assert grpc.StatusCode.OK is not await call.code()
    await eventually(lambda: not asyncio.all_tasks() - before)


async def test_what_came_while_the_loop_was_busy_is_taken(door: Door) -> None:
    """A moment in which the loop could take nothing isn't one in which nobody came."""
    message = request("affine").SerializeToString()
    with grpc.insecure_channel(door.address) as channel, ThreadPoolExecutor(1) as pool:
        ask = channel.unary_unary(INFER)
        await asyncio.to_thread(ask, message, timeout=PATIENCE)
        stopping = asyncio.create_task(door.server.stop(LONG))
        await asyncio.sleep(0)
        calls = pool.submit(lambda: [ask.future(message, timeout=PATIENCE) for _ in range(MANY)]).result()
        time.sleep(BUSY)  # noqa: ASYNC251 - the loop is to be busy
        await stopping
        codes = await asyncio.to_thread(lambda: {call.code() for call in calls})

    assert {grpc.StatusCode.OK} == codes
