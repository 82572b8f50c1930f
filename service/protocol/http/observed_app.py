"""The application where somebody listens: each request that comes through ASGI is a call."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.telemetry.call import taking
from service.telemetry.calls import Calls
from service.telemetry.trace_context import PARENT, STATE, Headers

_TRACE_HEADERS = {PARENT.encode(): PARENT, STATE.encode(): STATE}
GONE = 499
"""What is logged of a request whose client didn't wait for the answer, as nginx has it."""


class ObservedApp:
    """Stands before the application, and says of each request what was answered."""

    def __init__(self, app: ASGIApp, calls: Calls) -> None:
        self._app = app
        self._calls = calls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = self._calls.begin(scope["method"], scope["path"], trace_headers(scope["headers"]))
        status, sent = GONE, 0  # unless it is answered

        async def heard() -> Message:
            message = await receive()
            call.received += len(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        try:
            with taking(call):
                await self._app(scope, heard, tell)
        finally:
            call.route = getattr(scope.get("route"), "path", call.target)
            call.end(status, sent)


def trace_headers(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Those of a request's headers that say which trace it belongs to."""
    return [(_TRACE_HEADERS[name], value.decode("latin-1")) for name, value in fields if name in _TRACE_HEADERS]
