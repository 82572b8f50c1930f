"""The routes of the shared memory extensions."""

from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from service.errors import InvalidRequest, Unsupported
from service.protocol.client_memory import NO_CUDA, ClientMemory
from service.protocol.gate import check_origin
from service.protocol.http.answer import empty_answer, json_answer
from service.protocol.http.infer_route import AnswerResponse, read_body
from service.protocol.http.json_object import object_of
from service.protocol.http.openapi.operations import (
    NO_REGIONS,
    NOTHING,
    REGION,
    REGIONS,
    REGISTER,
    UNREGISTER,
    UNSUPPORTED,
)
from service.protocol.limits import Limits

_SYSTEM, _CUDA = "/v2/systemsharedmemory", "/v2/cudasharedmemory"
_REGION = "/region/{region}"


def add_memory_routes(app: FastAPI, limits: Limits, memory: ClientMemory) -> None:
    """Status, register and unregister, of one region and of all."""

    def told(region: str | None) -> Response:
        found = [
            {"name": one.name, "key": one.key, "offset": one.offset, "byte_size": one.size}
            for one in memory.regions(region)
        ]
        return AnswerResponse(json_answer(200, found))

    async def all_regions() -> Response:
        """Every region of shared memory that is registered."""
        return told(None)

    async def one_region(region: str) -> Response:
        """One region of shared memory."""
        return told(region)

    async def register(request: Request, region: str) -> Response:
        """Take tensors from, and write them to, a shared memory object of this machine (--allow-client-shm)."""
        check_origin(request.headers.get("origin"))
        content = object_of(await read_body(request, limits.max_json_bytes))
        memory.register(region, _key(content), content.get("offset", 0), content.get("byte_size"))
        return AnswerResponse(empty_answer(200))

    async def unregister(request: Request, region: str) -> Response:
        """Let go of a region; requests that mean it are refused from now on."""
        check_origin(request.headers.get("origin"))
        memory.unregister(region)
        return AnswerResponse(empty_answer(200))

    async def unregister_all(request: Request) -> Response:
        """Let go of all regions."""
        check_origin(request.headers.get("origin"))
        memory.unregister(None)
        return AnswerResponse(empty_answer(200))

    async def no_cuda() -> Response:
        """Nothing: memory of a GPU can't be registered."""
        return AnswerResponse(json_answer(200, []))

    async def refuse_cuda() -> Response:
        """Nothing: memory of a GPU can't be registered."""
        raise Unsupported(NO_CUDA)

    def add(method: str, path: str, schema: dict[str, Any], route: Any) -> None:
        app.add_api_route(path, route, methods=[method], tags=["shared memory"], openapi_extra=schema)

    add("POST", _SYSTEM + _REGION + "/register", REGISTER, register)
    add("GET", _SYSTEM + "/status", REGIONS, all_regions)
    add("GET", _SYSTEM + _REGION + "/status", REGION, one_region)
    add("POST", _SYSTEM + _REGION + "/unregister", UNREGISTER, unregister)
    add("POST", _SYSTEM + "/unregister", UNREGISTER, unregister_all)
    add("GET", _CUDA + "/status", NO_REGIONS, no_cuda)
    add("POST", _CUDA + _REGION + "/register", UNSUPPORTED, refuse_cuda)
    add("POST", _CUDA + _REGION + "/unregister", NOTHING, no_cuda)
    add("POST", _CUDA + "/unregister", NOTHING, no_cuda)


def _key(content: dict[str, Any]) -> str:
    key = content.get("key")
    if not isinstance(key, str):
        raise InvalidRequest('expected {"key": "...", "offset": 0, "byte_size": ...}')
    return key
