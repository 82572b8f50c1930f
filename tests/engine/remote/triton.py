"""A small Triton in the test's own loop, on tritonclient's stubs, for faults that a real one can't be made to show."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

Specs = Sequence[tuple[str, str, Sequence[int]]]


class SmallTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """One model, "m", that answers each output with the bytes and the shape of the input at the same position.

    `outage` (status, text) refuses all requests, or the next `outages` of them; while `gate` is closed, requests wait.
    With `credentials` it takes encrypted connections only.
    """

    def __init__(self, inputs: Specs, outputs: Specs, *, max_batch_size: int = 0) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.config = model_config_pb2.ModelConfig(name="m", max_batch_size=max_batch_size)
        self.ready = True
        self.outage: tuple[grpc.StatusCode, str] | None = None
        self.outages = -1
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[Any] = []
        self.remaining: list[float] = []
        self.cancelled = 0
        self.spoil: Callable[[Any], None] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.credentials: Any = None
        self._server: Any = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen; on the same port each time."""
        self._server = grpc.aio.server()
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        if self.credentials:
            assert self._server.add_secure_port(self.address, self.credentials) == self.port
        else:
            assert self._server.add_insecure_port(self.address) == self.port
        await self._server.start()

    async def stop(self) -> None:
        """Close every connection at once, as a process that ends."""
        if self._server:
            await self._server.stop(None)
            self._server = None

    async def ServerLive(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=True)

    async def ModelReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=self.ready)

    async def ModelMetadata(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        def tensors(specs: Specs) -> list[Any]:
            kind = service_pb2.ModelMetadataResponse.TensorMetadata
            return [kind(name=name, datatype=datatype, shape=shape) for name, datatype, shape in specs]

        return service_pb2.ModelMetadataResponse(
            name="m", versions=["3"], platform="python", inputs=tensors(self.inputs), outputs=tensors(self.outputs)
        )

    async def ModelConfig(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return service_pb2.ModelConfigResponse(config=self.config)

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        self.remaining.append(context.time_remaining())
        if self.outage and self.outages:
            self.outages -= 1
            await context.abort(*self.outage)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        wanted = [output.name for output in request.outputs]
        answer = service_pb2.ModelInferResponse(model_name="m", model_version="3", id=request.id)
        for (name, datatype, _), given, raw in zip(
            self.outputs, request.inputs, request.raw_input_contents, strict=True
        ):
            if not wanted or name in wanted:
                answer.outputs.add(name=name, datatype=datatype, shape=given.shape)
                answer.raw_output_contents.append(raw)
        if self.spoil:
            self.spoil(answer)
        return answer


def identity(datatype: str = "FP32") -> SmallTriton:
    """A batched model of rows of three: "y" is "x"."""
    return SmallTriton([("x", datatype, (-1, 3))], [("y", datatype, (-1, 3))], max_batch_size=8)


@asynccontextmanager
async def running(triton: SmallTriton) -> AsyncIterator[SmallTriton]:
    """Listening for the time of a block."""
    await triton.start()
    try:
        yield triton
    finally:
        await triton.stop()


class Balancer:
    """A listener in front of a Triton: whom it cuts off can connect again at once."""

    def __init__(self, triton: SmallTriton) -> None:
        self._triton = triton
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.StreamWriter] = set()

    @property
    def address(self) -> str:
        assert self._server
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Reset every connection."""
        for pipe in self._pipes:
            pipe.transport.abort()
        self._pipes.clear()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        self.cut()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self._triton.port)
        self._pipes |= {writer, forth}
        with contextlib.suppress(OSError):
            await asyncio.gather(_pump(reader, forth), _pump(back, writer))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
    sink.close()


def rows(*values: float) -> np.ndarray[Any, Any]:
    """An FP32 row of three for each value."""
    return np.repeat(np.array(values, np.float32)[:, None], 3, axis=1)
