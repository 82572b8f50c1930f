"""The friendly door: TensorFlow Serving's and KServe's first protocol, in which a value is plain JSON."""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from service.errors import BackendError, Draining, HoneError, InvalidRequest, TooLarge
from service.messages import InferRequest, InferResponse
from service.protocol.engine_port import Engine
from service.protocol.http.answer import CLOSE, Answer, json_answer, refusal, success
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
    unless_gone,
)
from service.protocol.http.openapi.operations import ALIVE, MODEL_STATE, MODELS, PREDICT
from service.protocol.http.v1_media import (
    PICTURES,
    TEXT,
    encode_classes,
    media_of,
    medium_of,
    takes_text,
    text_input,
    wanted_classes,
)
from service.protocol.http.v1_request import PredictDecoder
from service.protocol.http.v1_response import encode_predict
from service.protocol.limits import Limits
from service.quoting import quoted

_MODELS, _PREDICT = "/v1/models", ":predict"
_LONGEST = 30.0
"""Seconds that a picture or a text may wait to be decoded where its client says nothing."""
_SOON = 1e-6


class _Prediction:
    """Owns the answer to one request while it comes into being. Implements `Receiver`."""

    def __init__(self, encode: Callable[[InferResponse], bytes]) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._encode = encode
        self._body: bytes | None = None
        self._error: HoneError | None = None

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        if self._body is not None:
            raise BackendError(f'model "{response.model}" gave more than one answer')
        self._body = self._encode(response)

    def finish(self, error: HoneError | None) -> None:
        """See `Receiver`."""
        self._error = error
        if not self.answered.done():
            self.answered.set_result(None)

    def answer(self) -> Answer:
        """What came of it."""
        if self._error or self._body is None:
            return refusal(self._error or BackendError("the model gave no answer"))
        return success(None, self._body)


class _Door:
    """Turns bodies into requests, and says how their answers are to be written."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits
        self._decoder = PredictDecoder(limits)

    async def body(self, request: Request, fields: Mapping[bytes, bytes]) -> bytes:
        """The whole body. Raises TooLarge."""
        limit = self._limit(fields)
        return await read_body(request, limit)

    async def decoded(
        self, request: Request, fields: Mapping[bytes, bytes], body: bytes, model: str, version: str | None
    ) -> tuple[InferRequest, Callable[[InferResponse], bytes]]:
        """Raises a HoneError that names the culprit."""
        head, limit, media = read_head(fields), self._limit(fields), media_of(fields)
        body = await uncoded(fields, body, limit)
        metadata = self._engine.metadata(model, version)
        instances: int | None = 1
        timeout, classes = head.timeout, dict[str, int]()
        if not media:
            inputs, instances = self._decoder.decode(body, metadata)
        elif media == TEXT and takes_text(metadata):
            inputs = text_input(body, metadata)
        elif media in PICTURES or media == TEXT:
            classes, began = wanted_classes(metadata), time.monotonic()
            longest = _LONGEST if timeout is None else timeout
            preparation = self._engine.prepare(model, version, medium_of(media), body, longest)
            inputs = await unless_gone(preparation, request)
            timeout = None if timeout is None else max(timeout - (time.monotonic() - began), _SOON)
        else:
            raise InvalidRequest(f"the body is {quoted(media.decode('latin-1'))}, expected image/png or image/jpeg")
        asked = InferRequest(
            model=model, version=version, inputs=inputs, classes=classes, timeout=timeout, protocol="v1"
        )
        most = self._limits.max_json_bytes
        return asked, encode_classes if classes else partial(encode_predict, instances=instances, max_json_bytes=most)

    def _limit(self, fields: Mapping[bytes, bytes]) -> int:
        return self._limits.max_binary_bytes if media_of(fields) in PICTURES else self._limits.max_json_bytes


def add_v1_routes(app: FastAPI, engine: Engine, limits: Limits) -> None:
    """Predict, and what is served."""
    door = _Door(engine, limits)

    async def answer(request: Request, model: str, version: str | None) -> Response:
        fields = dict(request.scope["headers"])
        try:
            body = await door.body(request, fields)
        except TooLarge as error:
            engine.refuse(model, version, "v1", error)
            return EarlyResponse(refusal(error, CLOSE))
        try:
            asked, encode = await door.decoded(request, fields, body, model, version)
        except HoneError as error:
            engine.refuse(model, version, "v1", error)
            return AnswerResponse(refusal(error))
        prediction = _Prediction(encode)
        exchange = engine.submit(asked, prediction)
        if not await settled(exchange, prediction.answered, request):
            return AnswerResponse(refusal(Draining(STOPPING), CLOSE))
        return AnswerResponse(await as_wanted(fields, prediction.answer()))

    async def predict(request: Request, model: str) -> Response:
        """Run a model on plain JSON (`instances` by rows, or `inputs` by columns), on a picture, or on a text."""
        return await or_draining(answer(request, model, None), partial(engine.refuse, model, None, "v1"))

    async def predict_version(request: Request, model: str, version: str) -> Response:
        """Run one version of a model on plain JSON (`instances` or `inputs`), on a picture, or on a text."""
        return await or_draining(answer(request, model, version), partial(engine.refuse, model, version, "v1"))

    async def models() -> Response:
        """The names of the models that are served."""
        index = await engine.index()
        return AnswerResponse(json_answer(200, {"models": sorted({one.name for one in index if one.state == "READY"})}))

    async def state(model: str) -> Response:
        """Whether a model is ready: 200, or 503 while it isn't."""
        if model.endswith(_PREDICT):  # no model's name has a colon: it is the other route, by the wrong method
            raise HTTPException(405)
        ready = engine.model_ready(model, None)
        return AnswerResponse(json_answer(200 if ready else 503, {"name": model, "ready": ready}))

    async def alive() -> Response:
        """That the process answers."""
        return AnswerResponse(json_answer(200, {"status": "alive"}))

    app.post(_MODELS + "/{model}" + _PREDICT, tags=["v1"], openapi_extra=PREDICT)(predict)
    app.post(_MODELS + "/{model}/versions/{version}" + _PREDICT, tags=["v1"], openapi_extra=PREDICT)(predict_version)
    app.get(_MODELS, tags=["v1"], openapi_extra=MODELS)(models)
    app.get(_MODELS + "/{model}", tags=["v1"], openapi_extra=MODEL_STATE)(state)
    app.get("/", tags=["v1"], openapi_extra=ALIVE)(alive)
