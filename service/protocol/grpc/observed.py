"""The RPCs where somebody listens: each is a call, and so is each message of a stream of requests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import grpc

from service.engine.exchange import Exchange
from service.errors import HoneError
from service.protocol.client_memory import ClientMemory
from service.protocol.engine_port import Engine
from service.protocol.grpc.infer import InferDoor
from service.protocol.grpc.reply import Reply
from service.protocol.limits import Limits
from service.protocol.status import GRPC_STATUS, HTTP_STATUS
from service.telemetry.call import CALL, Call, taking
from service.telemetry.calls import Calls
from service.telemetry.trace_context import PARENT, STATE, Headers

_OK, _CANCELLED = "OK", "CANCELLED"


class ObservedInferDoor(InferDoor):
    """Tells of each message of a stream by itself."""

    def __init__(self, engine: Engine, limits: Limits, memory: ClientMemory, calls: Calls) -> None:
        super().__init__(engine, limits, memory)
        self._calls = calls

    def submit(self, message: bytes, remaining: float | None, reply: Reply, *, streams: bool = False) -> Exchange:
        """See `InferDoor`."""
        outer = CALL.get()
        if not streams or outer is None:
            return super().submit(message, remaining, reply, streams=streams)
        call = self._calls.message(outer, len(message))
        if call.told:
            call.on_finish = partial(_finished, call, reply)
        try:
            with taking(call):
                return super().submit(message, remaining, reply, streams=True)
        except HoneError as error:
            call.refused(error)
            _finished(call, reply)
            raise


def observed(handlers: Mapping[str, grpc.RpcMethodHandler], service: str, calls: Calls) -> dict[str, Any]:
    """The same RPCs of a service, by their names, that tell `calls` of what they answer."""
    return {name: _observed(handler, f"{service}/{name}", calls) for name, handler in handlers.items()}


def _observed(handler: Any, target: str, calls: Calls) -> Any:
    if handler.unary_unary:
        return handler._replace(unary_unary=_unary(handler.unary_unary, target, calls))
    if handler.stream_stream:
        return handler._replace(stream_stream=_stream(handler.stream_stream, target, calls))
    return handler


def _unary(answer: Callable[..., Awaitable[Any]], target: str, calls: Calls) -> Callable[..., Awaitable[Any]]:
    async def call(message: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        one, body = calls.begin("", target, _headers(context)), b""
        one.received = len(message)
        try:
            with taking(one):
                body = await answer(message, context)
        except asyncio.CancelledError:  # the client has given it up, or its time was over
            one.end(_status(one, _CANCELLED), 0)
            raise
        code = context.code()  # what was set, if anything was
        size = len(body) if isinstance(body, bytes) else body.ByteSize()
        one.end(code.name if isinstance(code, grpc.StatusCode) else _OK, size)
        return body

    return call


def _stream(answer: Callable[..., Awaitable[None]], target: str, calls: Calls) -> Callable[..., Awaitable[None]]:
    async def call(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> None:
        with taking(calls.begin("", target, _headers(context))):
            await answer(requests, context)

    return call


def _headers(context: grpc.aio.ServicerContext[Any, Any]) -> Headers:
    return [(name, value) for name, value in context.invocation_metadata() or () if name in (PARENT, STATE)]


def _finished(call: Call, reply: Reply) -> None:
    """The engine has done with a message of a stream."""
    call.end(_status(call, _OK), len(reply.body or b""))


def _status(call: Call, otherwise: str) -> str:
    """The name of the code that says how a request ended, if the engine said that."""
    return GRPC_STATUS[HTTP_STATUS.get(call.reason, 500)] if call.reason else otherwise
