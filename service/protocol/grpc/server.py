"""The gRPC server: its port, its limits, and its end."""

import asyncio

from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from service.logs import LogControl
from service.protocol.client_memory import ClientMemory
from service.protocol.engine_port import Engine
from service.protocol.grpc.acceptance import AioServer
from service.protocol.grpc.handlers import SERVICE, handlers
from service.protocol.grpc.health import Health
from service.protocol.grpc.infer import InferDoor
from service.protocol.grpc.observed import ObservedInferDoor, observed
from service.protocol.grpc.questions import Questions
from service.protocol.grpc.stream import StreamDoor
from service.protocol.limits import MIB, Limits
from service.telemetry.calls import Calls

_ENVELOPE_BYTES = MIB
"""What a message may have besides its tensors."""
_STREAMS = 1024
"""Calls that one connection may have under way."""
_LAST_CALL = 2.0
"""Seconds in which calls are still taken after the server was told to stop, if they keep coming: half of the time that
it has, at most."""
_LOOKS, _MOMENT = 10, 0.01
_PING_SECONDS = 10
"""The shortest time between two pings of a client that has no call under way."""


class GrpcServer:
    """Owns the listening port, and the calls that come through it."""

    def __init__(
        self, engine: Engine, limits: Limits, logs: LogControl, memory: ClientMemory, calls: Calls | None = None
    ) -> None:
        """To be made on the event loop that it will serve on; `calls` are told of each request, if anybody listens."""
        self._server = AioServer(_options(limits), busy=f"/{SERVICE}/ModelInfer")
        self._ending: asyncio.Future[None] | None = None
        self._door = door = (
            ObservedInferDoor(engine, limits, memory, calls) if calls else InferDoor(engine, limits, memory)
        )
        self._streams, self._health = StreamDoor(door), Health(engine)
        table = handlers(door, self._streams, Questions(engine, logs, memory))
        for name, service in ((SERVICE, table), (health.SERVICE_NAME, self._health.handlers())):
            told = observed(service, name, calls) if calls else service
            self._server.add_registered_method_handlers(name, told)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

    def bind(self, host: str, port: int) -> int:
        """Listen there; the port, a free one for 0. Raises OSError."""
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound: int = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"can't listen on {address}") from error
        return bound

    async def start(self) -> None:
        """Take calls from now on."""
        await self._server.start()

    async def stop(self, seconds: float) -> None:
        """Take no new calls; those under way have so long to be answered, and streams end when all of theirs is, as do
        those that watch its health.

        Calls that have arrived are taken before: gRPC would cancel those that it hasn't handed on yet.
        """
        self._streams.close()
        self._health.close()
        clock = asyncio.get_running_loop().time
        until = clock() + seconds
        await self._taken(clock() + min(_LAST_CALL, seconds / 2))
        await self._server.stop(max(until - clock(), 0.0))

    async def _taken(self, until: float) -> None:
        """Wait until no request has come for some looks: the loop, or gRPC's own threads, may have waited for a
        processor.
        """
        before, quiet = self._door.taken, 0
        while quiet < _LOOKS and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_MOMENT)
            quiet = quiet + 1 if self._door.taken == before else 0
            before = self._door.taken

    def force_exit(self) -> None:
        """End all calls now; `stop` returns then."""
        self._ending = asyncio.ensure_future(self._server.stop(None))


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.so_reuseport", 0),  # or two servers would share a port, and the requests on it
        ("grpc.max_receive_message_length", limits.max_binary_bytes + _ENVELOPE_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", limits.max_header_bytes),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_SECONDS * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
