"""grpc.health.v1: whether the server takes requests, for balancers and orchestrators."""

import asyncio
from collections.abc import AsyncIterator

import grpc
from grpc_health.v1 import health_pb2

from service.errors import InvalidRequest
from service.protocol.engine_port import Engine
from service.protocol.grpc.handlers import SERVICE, read_message
from service.protocol.grpc.status import set_status

_LOOK_SECONDS = 0.2
"""How often a watched state is looked at."""


class Health:
    """Answers for the whole server, and for the inference service by its name: these are the same."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed = False

    def close(self) -> None:
        """The server is about to stop: who watches hears of that, and the call ends."""
        self._closed = True

    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """Its RPCs by name. Messages come in wire form: one that can't be read is the client's mistake."""
        written = health_pb2.HealthCheckResponse.SerializeToString
        return {
            "Check": grpc.unary_unary_rpc_method_handler(self._check, response_serializer=written),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch, response_serializer=written),
        }

    async def _check(
        self, message: bytes, context: grpc.aio.ServicerContext[bytes, health_pb2.HealthCheckResponse]
    ) -> health_pb2.HealthCheckResponse:
        """The state now; a service that isn't here is NOT_FOUND."""
        try:
            status = self._status(read_message(health_pb2.HealthCheckRequest, message).service)
        except InvalidRequest as error:
            set_status(context, error)
            return health_pb2.HealthCheckResponse()
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details(f"there is no service of that name, ask for {SERVICE} or leave the name out")
        return health_pb2.HealthCheckResponse(status=status)

    async def _watch(
        self, message: bytes, context: grpc.aio.ServicerContext[bytes, health_pb2.HealthCheckResponse]
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state now, and again whenever it has changed, until the server stops."""
        try:
            service = read_message(health_pb2.HealthCheckRequest, message).service
        except InvalidRequest as error:
            set_status(context, error)
            return
        told = None
        while True:
            status = self._status(service)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            if self._closed:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    def _status(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        if service not in ("", SERVICE):
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        ready = self._engine.ready()
        return health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
