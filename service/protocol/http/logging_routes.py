"""The routes of the logging extension."""

from fastapi import FastAPI, Request
from starlette.responses import Response

from service.logs import LogControl
from service.protocol.gate import check_origin
from service.protocol.http.answer import json_answer
from service.protocol.http.infer_route import AnswerResponse, read_body
from service.protocol.http.json_object import object_of
from service.protocol.http.openapi.operations import CHANGE_LOGGING, LOGGING
from service.protocol.limits import Limits
from service.protocol.log_settings import change_log_settings, log_settings


def add_logging_routes(app: FastAPI, limits: Limits, logs: LogControl) -> None:
    """What is logged, and how to change it."""

    async def told() -> Response:
        """Which lines the server writes."""
        return AnswerResponse(json_answer(200, log_settings(logs)))

    async def changed(request: Request) -> Response:
        """Set which lines the server writes; the answer is what is set then."""
        check_origin(request.headers.get("origin"))
        change_log_settings(logs, object_of(await read_body(request, limits.max_json_bytes)))
        return AnswerResponse(json_answer(200, log_settings(logs)))

    app.get("/v2/logging", tags=["server"], openapi_extra=LOGGING)(told)
    app.post("/v2/logging", tags=["server"], openapi_extra=CHANGE_LOGGING)(changed)
