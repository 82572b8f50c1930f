"""The document itself, and the routes that show it."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.routing import APIRoute
from starlette.responses import Response

from service.protocol.engine_port import Engine
from service.protocol.http.answer import json_answer
from service.protocol.http.infer_route import AnswerResponse
from service.protocol.http.openapi.examples import Examples, examples_of
from service.protocol.http.openapi.operations import ANYWHERE, DOCUMENT, HEADERS, PAGE, REFUSALS, refusals
from service.protocol.http.openapi.schemas import SCHEMAS
from service.protocol.http.openapi.terms import COUNT, TEXT, ref

_PATH = "openapi.json"
_DESCRIPTION = """\
The Open Inference Protocol, version 2, with Triton's extensions, and the first protocol beside it. Examples are of
models that are served at the moment.

Every error is JSON: `{"error": text, "reason": word}`. What isn't HTTP is answered with 400, a path that isn't here
with 404, another method with 405. Content-Type tells `:predict` a picture or a text from JSON, and nothing elsewhere.
"""
_NAMES = {
    "model": "The name of a model.",
    "version": "One of its versions; without it, the one that the server prefers.",
    "region": "The name of a region, as the client chooses it.",
    "repository": "There is one repository, and it has no name.",
}
_TEXTS = {"model": "author", "version": "edition"}
"""How parameters are called whose examples are of a model that writes texts, by their names."""


def add_documentation_routes(app: FastAPI, engine: Engine) -> None:
    """The document, and a page to try it on."""
    paths: dict[str, dict[str, Any]] = {}

    async def document() -> Response:
        """This document."""
        if not paths:  # now that all routes are there
            paths.update(_paths(app))
        info = {"title": engine.server_name, "version": engine.server_version, "description": _DESCRIPTION}
        components = _components(examples_of(engine))
        return AnswerResponse(
            json_answer(200, {"openapi": "3.1.0", "info": info, "paths": paths, "components": components})
        )

    async def page() -> Response:
        """This document, to read and to try in a browser."""
        return get_swagger_ui_html(openapi_url=_PATH, title=engine.server_name)

    app.get("/" + _PATH, tags=["documentation"], openapi_extra=DOCUMENT)(document)
    app.get("/docs", tags=["documentation"], openapi_extra=PAGE)(page)


def _paths(app: FastAPI) -> dict[str, dict[str, Any]]:
    """FastAPI's own would have what it takes for granted: it can't know of bodies that are read by hand."""
    paths: dict[str, dict[str, Any]] = {}
    for route in app.routes:
        assert isinstance(route, APIRoute)
        for method in route.methods or ():
            paths.setdefault(route.path, {})[method.lower()] = _operation(route)
    return paths


def _operation(route: APIRoute) -> dict[str, Any]:
    known = route.openapi_extra or {}
    own = _TEXTS if "generate" in route.tags else {}
    names = [ref(own.get(name, name), "parameters") for name in route.param_convertors]
    return {
        "tags": route.tags,
        "summary": route.description,
        "operationId": route.unique_id,
        **known,
        "parameters": [*names, *known.get("parameters", ())],
        "responses": dict(sorted({**refusals(*ANYWHERE), **known["responses"]}.items())),
    }


def _components(examples: Examples) -> dict[str, Any]:
    shown = {
        "model": examples.model.name,
        "version": examples.model.versions[0],
        "author": examples.author.name,
        "edition": examples.author.versions[0],
        "region": "hone-example",
        "repository": "models",
    }
    paths = {name: (name, text) for name, text in _NAMES.items()}
    paths |= {called: (name, _NAMES[name]) for name, called in _TEXTS.items()}
    return {
        "schemas": SCHEMAS,
        "examples": {name: {"value": body} for name, body in examples.bodies.items()},
        "parameters": {
            **{
                called: {"name": name, "in": "path", "required": True, "schema": TEXT, "example": shown[called]}
                | {"description": text}
                for called, (name, text) in paths.items()
            },
            **{
                name: {"name": name, "in": "header", "schema": schema, "description": text}
                for name, (schema, text) in HEADERS.items()
            },
        },
        "responses": {name: _refusal(code, text) for code, (name, text) in REFUSALS.items()},
    }


def _refusal(code: int, text: str) -> dict[str, Any]:
    seconds = {"schema": COUNT, "required": True, "description": "Seconds until it may be tried again."}
    headers = {"headers": {"Retry-After": seconds}} if code == 503 else {}
    return {"description": text, **headers, "content": {"application/json": {"schema": ref("Error")}}}
