"""The routes of the trace extension."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from service.protocol.engine_port import Engine
from service.protocol.gate import check_origin
from service.protocol.http.answer import json_answer
from service.protocol.http.infer_route import AnswerResponse, read_body
from service.protocol.http.json_object import object_of
from service.protocol.http.openapi.operations import CHANGE_MODEL_TRACE, CHANGE_TRACE, MODEL_TRACE, TRACE
from service.protocol.limits import Limits
from service.protocol.trace_settings import change_trace_settings, trace_settings

_ALL = "/v2/trace/setting"
_MODEL = "/v2/models/{model}/trace/setting"


def add_trace_routes(app: FastAPI, engine: Engine, limits: Limits) -> None:
    """What is traced, and how to change it, of all models or of one."""

    def told(model: str | None) -> Response:
        return AnswerResponse(json_answer(200, trace_settings(engine, model)))

    async def changed(request: Request, model: str | None) -> Response:
        check_origin(request.headers.get("origin"))
        body = await read_body(request, limits.max_json_bytes)
        change_trace_settings(engine, model, object_of(body))
        return told(model)

    async def of_all() -> Response:
        """Which requests are traced."""
        return told(None)

    async def of_model(model: str) -> Response:
        """Which requests to a model are traced."""
        return told(model)

    async def change_all(request: Request) -> Response:
        """Set which requests are traced; the answer is what is set then."""
        return await changed(request, None)

    async def change_model(request: Request, model: str) -> Response:
        """Set which requests to a model are traced; null takes back what was set for it."""
        return await changed(request, model)

    app.get(_ALL, tags=["server"], openapi_extra=TRACE)(of_all)
    app.get(_MODEL, tags=["models"], openapi_extra=MODEL_TRACE)(of_model)
    app.post(_ALL, tags=["server"], openapi_extra=CHANGE_TRACE)(change_all)
    app.post(_MODEL, tags=["models"], openapi_extra=CHANGE_MODEL_TRACE)(change_model)
