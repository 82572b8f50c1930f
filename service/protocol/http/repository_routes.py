"""The routes of the model repository: what is in it, and which of it is to be served."""

import asyncio
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from service.errors import HoneError, InvalidRequest, TooLarge, Unsupported
from service.metadata import IndexEntry
from service.protocol.engine_port import Engine
from service.protocol.gate import check_origin
from service.protocol.http.answer import CLOSE, empty_answer, json_answer, refusal
from service.protocol.http.infer_route import AnswerResponse, EarlyResponse, read_body
from service.protocol.http.json_object import object_of
from service.protocol.http.load_body import read_load
from service.protocol.http.openapi.operations import INDEX, LOAD, UNLOAD, UNSUPPORTED
from service.protocol.limits import Limits
from service.protocol.parameters import unloads_dependents

_MODEL = "/models/{model}"


def add_repository_routes(app: FastAPI, engine: Engine, limits: Limits) -> None:
    """Index, load and unload."""

    async def body_of(request: Request) -> dict[str, Any]:
        return object_of(await read_body(request, limits.max_json_bytes))

    async def index(request: Request) -> Response:
        """Every model and version in the repository, with its state."""
        only_ready = (await body_of(request)).get("ready", False)
        if not isinstance(only_ready, bool):
            raise InvalidRequest('expected {"ready": true} or {"ready": false}')
        found = await engine.index()
        return AnswerResponse(
            json_answer(200, [_entry(one) for one in found if not only_ready or one.state == "READY"])
        )

    async def load(request: Request, model: str) -> Response:
        """Serve a model as it is in the repository now, or as it is sent along (control mode explicit)."""
        try:
            check_origin(request.headers.get("origin"))
            engine.check_explicit()
        except HoneError as error:  # nobody may send megabytes in vain
            return EarlyResponse(refusal(error, CLOSE))
        body = await read_body(request, limits.max_binary_bytes)
        override = await asyncio.to_thread(read_load, body) if body else None
        del body  # megabytes, perhaps, and loading takes a while
        await engine.load_model(model, override)
        return AnswerResponse(empty_answer(200))

    async def unload(request: Request, model: str) -> Response:
        """Serve a model no longer; answered when its last request is (control mode explicit)."""
        check_origin(request.headers.get("origin"))
        dependents = unloads_dependents(_parameters(await body_of(request)))
        await engine.unload_model(model, dependents=dependents)
        return AnswerResponse(empty_answer(200))

    async def of_repository() -> Response:
        """There is one repository, and it has no name."""
        raise Unsupported("this server has one repository: leave its name out of the path")

    app.add_exception_handler(TooLarge, _refuse_unread)
    for path, route, schema in (
        ("/index", index, INDEX),
        (_MODEL + "/load", load, LOAD),
        (_MODEL + "/unload", unload, UNLOAD),
    ):
        app.post("/v2/repository" + path, tags=["repository"], openapi_extra=schema)(route)
        app.post("/v2/repository/{repository}" + path, tags=["repository"], openapi_extra=UNSUPPORTED)(of_repository)


async def _refuse_unread(_request: Request, error: Exception) -> Response:
    assert isinstance(error, TooLarge)
    return EarlyResponse(refusal(error, CLOSE))


def _parameters(content: dict[str, Any]) -> dict[str, Any]:
    parameters = content.get("parameters", {})
    if not isinstance(parameters, dict):
        raise InvalidRequest('"parameters" isn\'t an object')
    return parameters


def _entry(entry: IndexEntry) -> dict[str, str]:
    """What isn't known of a model that nobody has loaded is left out, as Triton does."""
    content = {"name": entry.name, "version": entry.version, "state": entry.state}
    content = {key: value for key, value in content.items() if value}
    return {**content, "reason": entry.reason} if entry.state else content
