"""A live gRPC server on loopback over the engine without workers, and messages made by hand."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from service.logs import LogControl
from service.protocol.client_memory import ClientMemory
from service.protocol.grpc.server import GrpcServer
from service.protocol.limits import Limits
from service.telemetry.calls import Calls
from tests.contract.double_engine import DoubleEngine
from tests.contract.live import LIMITS, PATIENCE

INFER = "/inference.GRPCInferenceService/ModelInfer"


@dataclass(frozen=True, kw_only=True)
class LiveGrpc:
    """A server on an event loop of its own, and a channel to it."""

    port: int
    engine: DoubleEngine
    logs: LogControl
    channel: grpc.Channel
    stub: Any

    def call(self, message: bytes) -> pb.ModelInferResponse:
        """ModelInfer with whatever bytes. Raises grpc.RpcError."""
        return pb.ModelInferResponse.FromString(self.channel.unary_unary(INFER)(message, timeout=PATIENCE))


@contextlib.contextmanager
def serve_grpc(limits: Limits = LIMITS, calls: Calls | None = None) -> Iterator[LiveGrpc]:
    """The server while the block runs; `calls` are told of what is answered."""
    engine, logs, started = DoubleEngine(), LogControl(), threading.Event()
    ports: list[int] = []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        server, ending = GrpcServer(engine, limits, logs, ClientMemory(allowed=True), calls), asyncio.Event()
        ports.append(server.bind("127.0.0.1", 0))
        await server.start()
        loops.append((asyncio.get_running_loop(), ending))
        started.set()
        await ending.wait()
        await server.stop(0)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{ports[0]}") as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            yield LiveGrpc(port=ports[0], engine=engine, logs=logs, channel=channel, stub=stub)
    finally:
        loop, ending = loops[0]
        loop.call_soon_threadsafe(ending.set)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def request(model: str = "affine", *, raw: bytes | None = bytes(16), **changes: Any) -> pb.ModelInferRequest:
    """A request with one input "x", FP32 of shape [1, 4] unless told otherwise."""
    entry = {"name": "x", "datatype": "FP32", "shape": [1, 4], **changes}
    message = pb.ModelInferRequest(model_name=model, inputs=[pb.ModelInferRequest.InferInputTensor(**entry)])
    if raw is not None:
        message.raw_input_contents.append(raw)
    return message
