"""The FastAPI application: every route of the protocol, and its documentation under /docs."""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match

from service.errors import HoneError, ModelNotFound
from service.logs import LogControl
from service.metadata import Duration, ModelStatistics, TensorMetadata
from service.protocol.client_memory import ClientMemory
from service.protocol.engine_port import Engine
from service.protocol.http.answer import (
    Answer,
    empty_answer,
    internal_error,
    json_answer,
    refusal,
    transport_refusal,
)
from service.protocol.http.generate_routes import add_generate_routes
from service.protocol.http.infer_door import InferDoor
from service.protocol.http.infer_route import AnswerResponse, infer
from service.protocol.http.interruption import Interruption
from service.protocol.http.logging_routes import add_logging_routes
from service.protocol.http.memory_routes import add_memory_routes
from service.protocol.http.openapi.document import add_documentation_routes
from service.protocol.http.openapi.operations import (
    ALL_STATISTICS,
    CONFIG,
    INFER,
    LIVE,
    METADATA,
    MODEL_READY,
    READY,
    SERVER,
    STATISTICS,
)
from service.protocol.http.repository_routes import add_repository_routes
from service.protocol.http.trace_routes import add_trace_routes
from service.protocol.http.v1_routes import add_v1_routes
from service.protocol.limits import Limits
from service.quoting import quoted

_MODEL = "/v2/models/{model}"
_VERSION = "/v2/models/{model}/versions/{version}"


def build_app(engine: Engine, limits: Limits, logs: LogControl, memory: ClientMemory) -> FastAPI:
    """The application over one engine; clients set what `logs` does, and register their regions with `memory`."""
    app = FastAPI(redirect_slashes=False, openapi_url=None)
    app.add_middleware(Interruption)
    _add_infer_routes(app, InferDoor(engine, limits, memory))  # first, since routes are tried in order
    _add_statistics_routes(app, engine)  # /v2/models/stats is no model's
    _add_model_routes(app, engine)
    _add_server_routes(app, engine)
    add_repository_routes(app, engine, limits)
    add_logging_routes(app, limits, logs)
    add_trace_routes(app, engine, limits)
    add_memory_routes(app, limits, memory)
    add_v1_routes(app, engine, limits)
    add_generate_routes(app, engine, limits)
    add_documentation_routes(app, engine)
    app.add_exception_handler(HoneError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(ClientDisconnect, _forget)
    app.add_exception_handler(Exception, _fail)
    return app


def _add_server_routes(app: FastAPI, engine: Engine) -> None:
    async def server() -> Response:
        """Name, version and extensions of the server."""
        names = {"name": engine.server_name, "version": engine.server_version, "extensions": engine.extensions}
        return AnswerResponse(json_answer(200, names))

    async def live() -> Response:
        """200 while the process answers."""
        live = engine.live()
        return AnswerResponse(json_answer(200 if live else 400, {"live": live}))

    async def ready() -> Response:
        """200 when the server takes requests and its models compute, else 400."""
        ready = engine.ready()
        return AnswerResponse(json_answer(200 if ready else 400, {"ready": ready}))

    app.get("/v2", tags=["server"], openapi_extra=SERVER)(server)
    app.get("/v2/", tags=["server"], openapi_extra=SERVER)(server)
    app.get("/v2/health/live", tags=["server"], openapi_extra=LIVE)(live)
    app.get("/v2/health/ready", tags=["server"], openapi_extra=READY)(ready)


def _add_statistics_routes(app: FastAPI, engine: Engine) -> None:
    def statistics(model: str | None, version: str | None) -> Answer:
        return json_answer(200, {"model_stats": [_statistics(one) for one in engine.statistics(model, version)]})

    async def of_all() -> Response:
        """How often every model was asked, and how long it took, since it was loaded."""
        return AnswerResponse(statistics(None, None))

    app.get("/v2/models/stats", tags=["models"], openapi_extra=ALL_STATISTICS)(of_all)
    words = (
        "How often a model was asked, and how long it took, since it was loaded; without a version, of all that serve."
    )
    _add_model_route(app, "/stats", statistics, words, STATISTICS)


def _add_model_routes(app: FastAPI, engine: Engine) -> None:
    def metadata(model: str, version: str | None) -> Answer:
        found = engine.metadata(model, version)
        content = {
            "name": found.name,
            "versions": found.versions,
            "platform": found.platform,
            "inputs": [_tensor(tensor) for tensor in found.inputs],
            "outputs": [_tensor(tensor) for tensor in found.outputs],
        }
        return json_answer(200, content)

    def config(model: str, version: str | None) -> Answer:
        return json_answer(200, engine.config(model, version))

    def ready(model: str, version: str | None) -> Answer:
        try:
            return empty_answer(200 if engine.model_ready(model, version) else 400)
        except ModelNotFound:
            return empty_answer(400)

    words = "Inputs and outputs of a model, the batch axis included; -1 stands for what varies."
    _add_model_route(app, "", metadata, words, METADATA)
    _add_model_route(app, "/config", config, "The configuration of a model, in Triton's terms.", CONFIG)
    _add_model_route(app, "/ready", ready, "200 when the model computes, else 400.", MODEL_READY)


def _add_model_route(
    app: FastAPI,
    suffix: str,
    answer: Callable[[str, str | None], Answer],
    description: str,
    openapi: dict[str, Any],
) -> None:
    """The same question about a model and about one version of it."""

    async def of_model(model: str) -> Response:
        return AnswerResponse(answer(model, None))

    async def of_version(model: str, version: str) -> Response:
        return AnswerResponse(answer(model, version))

    app.get(_MODEL + suffix, description=description, tags=["models"], openapi_extra=openapi)(of_model)
    app.get(_VERSION + suffix, description=description, tags=["models"], openapi_extra=openapi)(of_version)


def _add_infer_routes(app: FastAPI, door: InferDoor) -> None:
    async def infer_model(request: Request, model: str) -> Response:
        """Run a model on the tensors of the body: JSON, or JSON followed by binary data."""
        return await infer(door, (model, None), request)

    async def infer_version(request: Request, model: str, version: str) -> Response:
        """Run one version of a model on the tensors of the body: JSON, or JSON followed by binary data."""
        return await infer(door, (model, version), request)

    app.post(_MODEL + "/infer", tags=["inference"], openapi_extra=INFER)(infer_model)
    app.post(_VERSION + "/infer", tags=["inference"], openapi_extra=INFER)(infer_version)


def _tensor(tensor: TensorMetadata) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}


def _statistics(one: ModelStatistics) -> dict[str, Any]:
    return {
        "name": one.name,
        "version": one.version,
        "last_inference": one.last_inference,
        "inference_count": one.inference_count,
        "execution_count": one.execution_count,
        "inference_stats": _durations(one.durations),
        "response_stats": {},
        "batch_stats": [{"batch_size": rows, **_durations(times)} for rows, times in one.batches.items()],
        "memory_usage": [],
    }


def _durations(durations: Mapping[str, Duration]) -> dict[str, dict[str, int]]:
    return {name: {"count": count, "ns": nanoseconds} for name, (count, nanoseconds) in durations.items()}


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HoneError)
    return AnswerResponse(refusal(error))


async def _refuse_route(request: Request, error: Exception) -> Response:
    """Unknown paths and wrong methods, in the same shape as every other refusal."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = _allowed(request)
        text = f"{request.method} isn't allowed for {quoted(request.url.path)}, use {allowed}"
        return AnswerResponse(transport_refusal(error.status_code, text, (b"allow", allowed.encode())))
    text = f"there is no {quoted(request.url.path)}" if error.status_code == 404 else str(error.detail)
    return AnswerResponse(transport_refusal(error.status_code, text))


def _allowed(request: Request) -> str:
    """The methods of all routes of this path: Starlette tells those of the first."""
    routes = request.app.routes
    path = next(route.path for route in routes if route.matches(request.scope)[0] is Match.PARTIAL)
    return ", ".join(sorted(method for route in routes if route.path == path for method in route.methods))


async def _fail(_request: Request, _error: Exception) -> Response:
    return AnswerResponse(internal_error())


async def _forget(_request: Request, _error: Exception) -> Response:
    """The client went away while its body was read: nobody gets this answer."""
    return AnswerResponse(empty_answer(499))
