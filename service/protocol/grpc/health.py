"""grpc.health.v1: whether the server takes requests, for balancers and orchestrators."""

import asyncio
from collections.abc import AsyncIterator

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.protocol.engine_port import Engine
from service.protocol.grpc.handlers import SERVICE

_LOOK_SECONDS = 0.2
"""How often a watched state is looked at."""


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Answers for the whole server, and for the inference service by its name: these are the same."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def Check(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """The state now; a service that isn't here is NOT_FOUND."""
        status = self._status(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            context.set_code(grpc.StatusCode.NOT_FOUND)
            context.set_details(f"there is no service of that name, ask for {SERVICE} or leave the name out")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, _context: grpc.aio.ServicerContext
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """The state now, and again whenever it has changed."""
        told = None
        while True:
            status = self._status(request.service)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(_LOOK_SECONDS)

    def _status(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        if service not in ("", SERVICE):
            return health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        ready = self._engine.ready()
        return health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
