"""The end of requests that a server which stops can wait for no longer."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Draining
from service.protocol.http.answer import CLOSE, refusal
from service.protocol.http.infer_route import STOPPING, AnswerResponse


class Interruption:
    """Refuses as `draining` what uvicorn cancels before its answer has begun, on whatever route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if has_begun:
                raise
            await AnswerResponse(refusal(Draining(STOPPING), CLOSE))(scope, receive, send)
