"""The friendly door: TensorFlow Serving's and KServe's first protocol, in which a value is plain JSON."""

import asyncio
from typing import Annotated

from fastapi import FastAPI, Path, Request
from starlette.responses import Response

from service.errors import BackendError, Draining, HoneError, TooLarge
from service.messages import InferRequest, InferResponse
from service.protocol.engine_port import Engine
from service.protocol.http.answer import CLOSE, Answer, json_answer, refusal, success
from service.protocol.http.head import read_head
from service.protocol.http.infer_route import (
    STOPPING,
    AnswerResponse,
    EarlyResponse,
    as_wanted,
    read_body,
    settled,
    uncoded,
)
from service.protocol.http.schema import JSON_OPENAPI, PREDICT_OPENAPI
from service.protocol.http.v1_request import PredictDecoder
from service.protocol.http.v1_response import encode_predict
from service.protocol.limits import Limits

_Model = Annotated[str, Path(description="The name of a model.")]
_MODELS = "/v1/models"


class _Prediction:
    """Owns the answer to one request while it comes into being. Implements `Receiver`."""

    def __init__(self, instances: int | None, max_json_bytes: int) -> None:
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._instances = instances
        self._max_json_bytes = max_json_bytes
        self._body: bytes | None = None
        self._error: HoneError | None = None

    def emit(self, response: InferResponse) -> None:
        """See `Receiver`."""
        if self._body is not None:
            raise BackendError(f'model "{response.model}" gave more than one answer')
        self._body = encode_predict(response, self._instances, self._max_json_bytes)

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


def add_v1_routes(app: FastAPI, engine: Engine, limits: Limits) -> None:
    """Predict, and what is served."""
    decoder = PredictDecoder(limits)
    too_large = TooLarge(f"the body is larger than the limit of {limits.max_json_bytes} bytes")

    async def answer(request: Request, model: str, version: str | None) -> Response:
        fields = dict(request.scope["headers"])
        try:
            body = await read_body(request, limits.max_json_bytes, too_large)
        except TooLarge as error:
            engine.refuse(model, version, "v1", error)
            return EarlyResponse(refusal(error, CLOSE))
        try:
            head = read_head(fields)
            body = await uncoded(fields, body, too_large, limits.max_json_bytes)
            inputs, instances = decoder.decode(body, engine.metadata(model, version))
        except HoneError as error:
            engine.refuse(model, version, "v1", error)
            return AnswerResponse(refusal(error))
        prediction = _Prediction(instances, limits.max_json_bytes)
        asked = InferRequest(model=model, version=version, inputs=inputs, timeout=head.timeout, protocol="v1")
        exchange = engine.submit(asked, prediction)
        if not await settled(exchange, prediction.answered, request):
            return AnswerResponse(refusal(Draining(STOPPING), CLOSE))
        return AnswerResponse(await as_wanted(fields, prediction.answer()))

    async def predict(request: Request, model: _Model) -> Response:
        """Run a model on plain JSON: `instances` by rows, or `inputs` by columns."""
        return await answer(request, model, None)

    async def predict_version(request: Request, model: _Model, version: str) -> Response:
        """Run one version of a model on plain JSON: `instances` by rows, or `inputs` by columns."""
        return await answer(request, model, version)

    async def models() -> Response:
        """The names of the models that are served."""
        index = await engine.index()
        return AnswerResponse(json_answer(200, {"models": sorted({one.name for one in index if one.state == "READY"})}))

    async def state(model: _Model) -> Response:
        """Whether a model is ready: 200, or 503 while it isn't."""
        ready = engine.model_ready(model, None)
        return AnswerResponse(json_answer(200 if ready else 503, {"name": model, "ready": ready}))

    async def alive() -> Response:
        """That the process answers."""
        return AnswerResponse(json_answer(200, {"status": "alive"}))

    app.post(_MODELS + "/{model}:predict", tags=["v1"], openapi_extra=PREDICT_OPENAPI)(predict)
    app.post(_MODELS + "/{model}/versions/{version}:predict", tags=["v1"], openapi_extra=PREDICT_OPENAPI)(
        predict_version
    )
    app.get(_MODELS, tags=["v1"], openapi_extra=JSON_OPENAPI)(models)
    app.get(_MODELS + "/{model}", tags=["v1"], openapi_extra=JSON_OPENAPI)(state)
    app.get("/", tags=["v1"], openapi_extra=JSON_OPENAPI)(alive)
