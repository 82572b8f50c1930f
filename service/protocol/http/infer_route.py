"""Inference through ASGI: the entrance for everything that the fast one leaves out."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.engine.exchange import Exchange
from service.errors import Cancelled, Draining, HoneError, InternalError, TooLarge
from service.protocol.http.answer import CLOSE, Answer, coded, refusal
from service.protocol.http.compression import compress, decompress, sent_coding, wanted_coding
from service.protocol.http.head import BEYOND, beyond, body_limit
from service.protocol.http.infer_door import InferDoor, Route
from service.protocol.http.reply import Reply

LINGER = 2.0
"""Seconds in which a client that is still sending may read its refusal before the connection is closed."""

STOPPING = "the server is stopping"

_T = TypeVar("_T")


class AnswerResponse(Response):
    """An `Answer` as ASGI messages."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(status_code=answer.status)
        self.body = answer.body
        self.raw_headers = list(answer.headers)


class EarlyResponse(AnswerResponse):
    """An answer to a body that wasn't read: what still comes is dropped, so that the client gets to read this.

    Closing at once would reset the connection under a client that is still writing, and the answer would be lost.
    """

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send all but the end, drop what comes for a while, then end."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        try:
            async with asyncio.timeout(LINGER):
                while (await receive()).get("more_body"):
                    pass
        except (TimeoutError, asyncio.CancelledError):
            pass  # cancelled because the server stops: end at once
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def read_body(request: Request, limit: int, text: str = BEYOND) -> bytes:
    """The whole body. Raises TooLarge, which says `text`, as soon as it is known to exceed `limit` bytes, and
    ClientDisconnect if it ends.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise TooLarge(text.format(limit))
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise TooLarge(text.format(limit))
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def infer(door: InferDoor, route: Route, request: Request) -> Response:
    """Answer one request; a client that goes away cancels it, or raises ClientDisconnect if its body wasn't there."""
    return await or_draining(_infer(door, route, request), partial(door.engine.refuse, *route, "http"))


async def or_draining(work: Coroutine[Any, Any, Response], refuse: Callable[[HoneError], None]) -> Response:
    """What comes of it. When the server stops and can wait no longer, uvicorn cancels the task: the request is refused
    as `draining`, and that is counted. So is a fault, which ends as 500; other errors have been.
    """
    try:
        return await work
    except (HoneError, ClientDisconnect):
        raise
    except Exception:
        refuse(InternalError())
        raise
    except asyncio.CancelledError:
        stopping = Draining(STOPPING)
        refuse(stopping)
        return AnswerResponse(refusal(stopping, CLOSE))


async def _infer(door: InferDoor, route: Route, request: Request) -> Response:
    fields = dict(request.scope["headers"])
    limit, text = body_limit(fields, door.limits), beyond(fields)
    try:
        body = await read_body(request, limit, text)
    except TooLarge as error:
        door.engine.refuse(*route, "http", error)
        return EarlyResponse(refusal(error, CLOSE))
    try:
        body = await uncoded(fields, body, limit, text)
    except HoneError as wrong:
        door.engine.refuse(*route, "http", wrong)
        return AnswerResponse(refusal(wrong))
    return AnswerResponse(await as_wanted(fields, await _answer(door, route, fields, body, request)))


async def uncoded(fields: Mapping[bytes, bytes], body: bytes, limit: int, text: str = BEYOND) -> bytes:
    """A body without the content coding that it came in, if it has one. Raises what `decompress` raises."""
    coding = sent_coding(fields)
    return await asyncio.to_thread(decompress, body, coding, limit, text) if coding else body


async def as_wanted(fields: Mapping[bytes, bytes], answer: Answer) -> Answer:
    """An answer in the content coding that the client asks for; a refusal as it is."""
    coding = wanted_coding(fields)
    if answer.status != 200 or not coding:
        return answer
    return coded(answer, coding, await asyncio.to_thread(compress, answer.body, coding))


async def _answer(
    door: InferDoor, route: Route, fields: Mapping[bytes, bytes], body: bytes, request: Request
) -> Answer:
    answered = asyncio.get_running_loop().create_future()
    reply = Reply(lambda: answered.set_result(None), door.limits.max_json_bytes)
    exchange = door.submit(route, fields, body, reply)
    if exchange is not None and not await settled(exchange, answered, request):
        return refusal(Draining(STOPPING), CLOSE)
    return reply.answer()


async def settled(exchange: Exchange, answered: asyncio.Future[None], request: Request, *, keep: bool = False) -> bool:
    """Wait for the answer, or until the client has gone; False when the server stops before.

    An exchange that hasn't ended then is cancelled, unless more answers are to follow (`keep`).
    """
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answered, gone}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        return False
    finally:
        gone.cancel()
        if not (keep and answered.done()):
            exchange.cancel()  # has no effect on one that has ended
    return True


async def unless_gone(work: Coroutine[Any, Any, _T], request: Request) -> _T:
    """What comes of it. Raises Cancelled, and gives it up, when the client goes before."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Cancelled("the client went away")
        return task.result()
    finally:
        gone.cancel()
        task.cancel()


async def _gone(request: Request) -> None:
    """Return when the client has gone. A task for each request, where the fast entrance gets a callback."""
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await request.receive()
