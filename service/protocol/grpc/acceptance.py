"""How calls are accepted: gRPC's own server but for its accepting loop, which one client could end for all.

That loop decodes the name of every method that isn't registered, and where a client's isn't UTF-8 the whole server
stops (grpcio 1.84 and 1.85, `_server_main_loop` of `aio/server.pyx.pxi`). Here every method that is served is
registered, so that gRPC's core has compared its name, and nobody reads the names of others. The futures that the loop
waits for accept calls by themselves, and are done when the server stops.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server

_AT_ONCE = 64
"""Calls of a method that many make which are asked for at a time: no more than that wait in gRPC's core, where a server
that stops forgets them.
"""
_NOBODY = cygrpc._MethodResolver([], {})  # noqa: SLF001 - what accepts calls has no public name


class Acceptance(cygrpc.AioServer):  # type: ignore[misc] # grpc has no types
    """Owns the calls that are being accepted, and those that are under way."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: Sequence[tuple[str, Any]], busy: str) -> None:
        """`busy` is the whole name of the method that many calls are made of."""
        super().__init__(loop, None, (), (), tuple(options), None)
        self._busy = busy.encode()
        self._calls: set[asyncio.Task[None]] = set()
        self._methods: dict[str, grpc.RpcMethodHandler] = {}

    def add_registered_method_handlers(self, method_handlers: dict[str, grpc.RpcMethodHandler]) -> None:
        """Serve these, by their whole names."""
        self._methods.update(method_handlers)
        super().add_registered_method_handlers(method_handlers)

    def _make_request_call_future(self, method: bytes | None) -> asyncio.Future[list[None]]:
        """What gRPC's loop waits for: once for each method that is registered, and once for all others."""
        return asyncio.gather(*(self._accept(method) for _ in range(_AT_ONCE if method == self._busy else 1)))

    async def _accept(self, method: bytes | None) -> None:
        """Take one call after the other, until the server stops: that raises an error which gRPC's loop knows."""
        loop = asyncio.get_running_loop()
        name = method.decode() if method else ""
        resolver = cygrpc._MethodResolver([], self._methods) if method else _NOBODY  # noqa: SLF001
        while True:
            call = await (self._request_registered_call(method) if method else self._request_call())
            answer: Coroutine[Any, Any, None] = cygrpc._handle_rpc(name, resolver, (), call, loop, False)  # noqa: SLF001
            task = loop.create_task(cygrpc._schedule_rpc_coro(answer, call, loop, name))  # noqa: SLF001
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)


class AioServer(_server.Server):  # type: ignore[misc] # the same
    """`grpc.aio.server` that accepts calls so. To be made on the event loop that it will serve on."""

    def __init__(self, options: Sequence[tuple[str, Any]], busy: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = Acceptance(self._loop, options, busy)
