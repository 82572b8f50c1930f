"""Texts over HTTP: Triton's generate extension, in one answer or as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response, StreamingResponse

from service.engine.exchange import Exchange
from service.errors import BackendError, Draining, HoneError, TooLarge
from service.messages import InferResponse
from service.protocol.engine_port import Engine
from service.protocol.http.answer import CLOSE, refusal, success
from service.protocol.http.generate_request import decode_generate
from service.protocol.http.head import read_head
from service.protocol.http.infer_route import (
    STOPPING,
    AnswerResponse,
    EarlyResponse,
    as_wanted,
    or_draining,
    read_body,
    settled,
    uncoded,
)
from service.protocol.http.openapi.operations import EVENTS, GENERATE
from service.protocol.limits import Limits

_HEADERS = {"cache-control": "no-cache"}


class _Text:
    """Owns the answers to one request until they are sent. Implements `Receiver`.

    `begun` is done as soon as there is one, or an error; None among the answers is the end.
    """

    def __init__(self) -> None:
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.error: HoneError | None = None

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        text: bytes = response.outputs[0].array.ravel()[0]
        content = {"model_name": response.model, "model_version": response.version, "text_output": text.decode()}
        identity = {"id": response.id} if response.id else {}
        self.answers.put_nowait(orjson.dumps({**identity, **content, **response.parameters}))
        self._begin()

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        self.error = error or (BackendError("the model gave no answer") if not self.begun.done() else None)
        self.answers.put_nowait(None)
        self._begin()

    def _begin(self) -> None:
        if not self.begun.done():
            self.begun.set_result(None)


class _Door:
    """Takes requests for texts, within `limits`, and hands them to `engine`."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limit = limits.max_json_bytes

    async def answer(self, request: Request, model: str, version: str | None) -> Response:
        """A text in one answer. Raises a HoneError."""
        try:
            exchange, text = await self._submitted(request, model, version, streams=False)
        except TooLarge as error:
            return EarlyResponse(refusal(error, CLOSE))
        if not await settled(exchange, text.begun, request):
            return AnswerResponse(refusal(Draining(STOPPING), CLOSE))
        body = text.answers.get_nowait()
        if text.error or body is None:
            return AnswerResponse(refusal(text.error or BackendError("the model gave no answer")))
        fields = dict(request.scope["headers"])
        return AnswerResponse(await as_wanted(fields, success(None, body)))

    async def events(self, request: Request, model: str, version: str | None) -> Response:
        """A text as it is written; the status is that of the first answer. Raises a HoneError."""
        try:
            exchange, text = await self._submitted(request, model, version, streams=True)
        except TooLarge as error:
            return EarlyResponse(refusal(error, CLOSE))
        if not await settled(exchange, text.begun, request, keep=True):
            return AnswerResponse(refusal(Draining(STOPPING), CLOSE))
        if text.error and text.answers.qsize() == 1:
            return AnswerResponse(refusal(text.error))
        return StreamingResponse(
            _events(exchange, text), media_type="text/event-stream; charset=utf-8", headers=_HEADERS
        )

    async def _submitted(
        self, request: Request, model: str, version: str | None, *, streams: bool
    ) -> tuple[Exchange, _Text]:
        fields, engine = dict(request.scope["headers"]), self._engine
        try:
            body = await read_body(request, self._limit)
            head = read_head(fields)
            body = await uncoded(fields, body, self._limit)
            asked = decode_generate(body, engine.metadata(model, version), version, head.timeout, streams=streams)
        except HoneError as error:
            engine.refuse(model, version, "http", error)
            raise
        text = _Text()
        return engine.submit(asked, text), text


def add_generate_routes(app: FastAPI, engine: Engine, limits: Limits) -> None:
    """A text in one answer, and a text as it is written."""
    door = _Door(engine, limits)

    async def generate(request: Request, model: str) -> Response:
        """Write a text, in one answer."""
        return await or_draining(door.answer(request, model, None), partial(engine.refuse, model, None, "http"))

    async def generate_version(request: Request, model: str, version: str) -> Response:
        """Write a text by one version of a model, in one answer."""
        return await or_draining(door.answer(request, model, version), partial(engine.refuse, model, version, "http"))

    async def generate_stream(request: Request, model: str) -> Response:
        """Write a text, as server-sent events while it is written."""
        return await or_draining(door.events(request, model, None), partial(engine.refuse, model, None, "http"))

    async def generate_stream_version(request: Request, model: str, version: str) -> Response:
        """Write a text by one version of a model, as server-sent events while it is written."""
        return await or_draining(door.events(request, model, version), partial(engine.refuse, model, version, "http"))

    one, exact = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    app.post(one + "/generate", tags=["generate"], openapi_extra=GENERATE)(generate)
    app.post(exact + "/generate", tags=["generate"], openapi_extra=GENERATE)(generate_version)
    app.post(one + "/generate_stream", tags=["generate"], openapi_extra=EVENTS)(generate_stream)
    app.post(exact + "/generate_stream", tags=["generate"], openapi_extra=EVENTS)(generate_stream_version)


async def _events(exchange: Exchange, text: _Text) -> AsyncIterator[bytes]:
    """An event for each answer, and one for what ended them early; a client that goes away ends the text."""
    try:
        while (body := await text.answers.get()) is not None:
            yield b"data: %b\n\n" % body
        if text.error:
            yield b"data: %b\n\n" % refusal(text.error).body
    finally:
        exchange.cancel()  # has no effect on one that has ended
