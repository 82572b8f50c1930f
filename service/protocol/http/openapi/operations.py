"""What each route takes and answers, as FastAPI's `openapi_extra`."""

from http import HTTPStatus
from typing import Any

from service.protocol.http.openapi.terms import COUNT, FILE, TEXT, Schema, described, listed, ref

_JSON, _BINARY = "application/json", "application/octet-stream"

REFUSALS = {
    400: "The request can't be understood, or doesn't fit the model.",
    403: "Clients may not, as this server was started, or because of the page that asks (header Origin).",
    404: "There is no such model or version.",
    408: "The request took too long to arrive.",
    413: "The body, or what would be answered, is larger than the limit.",
    431: "The headers are larger than the limit.",
    500: "The server or the model's runtime failed, or the model can't be loaded.",
    501: "This server, or this model, can't do it.",
    503: "Not now: too much is waiting, or the model or the server isn't ready.",
    504: "Admitted, but not finished in the time that was granted.",
}
"""What the error of each status means."""

ANYWHERE = (408, 431, 500)
"""What any request may be answered."""

HEADERS: dict[str, tuple[Schema, str]] = {
    "X-Request-Timeout-Ms": (
        {"type": "number", "minimum": 0},
        "Milliseconds until the answer has lost its use; 0: none.",
    ),
    "Inference-Header-Content-Length": (COUNT, "Length of the JSON part when binary data follows it; 0 without JSON."),
    "Content-Encoding": ({"enum": ["gzip", "deflate", "identity"]}, "How the body is compressed."),
    "Accept-Encoding": (TEXT, "Just `gzip`, or just `deflate`, has the answer compressed."),
}
"""The request headers that mean something here."""


def component(code: int) -> str:
    """The name of a refusal among the document's responses."""
    return HTTPStatus(code).phrase.replace(" ", "")


def refusals(*codes: int) -> dict[str, Schema]:
    """The errors that a route may answer with."""
    return {str(code): ref(component(code), "responses") for code in codes}


def _answer(text: str, schema: Schema | None = None, media: str = _JSON) -> dict[str, Any]:
    """A response; empty without a schema."""
    return {"description": text, **({"content": {media: {"schema": schema}}} if schema else {})}


def _route(
    success: dict[str, Any], *refused: int, takes: dict[str, Schema] | None = None, needed: bool = False
) -> dict[str, Any]:
    """A route that answers 200 or refuses, and takes a body, by its media type."""
    body = {"requestBody": {"required": needed, "content": takes}} if takes else {}
    return {**body, "responses": {"200": success, **refusals(*refused)}}


def _json(name: str, **example: Any) -> dict[str, Schema]:
    """A body of JSON."""
    return {_JSON: {"schema": ref(name), **({"example": example} if example else {})}}


def _with_headers(route: dict[str, Any], *but: str) -> dict[str, Any]:
    """The same, where these headers are read; all `but` some."""
    return {"parameters": [ref(name, "parameters") for name in HEADERS if name not in but], **route}


_LENGTH = "Inference-Header-Content-Length"
_RAW = described(FILE, f"JSON and then raw tensors; {_LENGTH} is the length of the JSON.")
_PICTURE = {"schema": described(FILE, "A file, for a model whose card takes pictures.")}
_TEXT = {"schema": described(TEXT, "For a model whose only input is a text.")}
_ASKED = (400, 404, 413, 503, 504)
_PROMPT = {_JSON: {"schema": ref("GenerateRequest"), "examples": {"served": ref("generate", "examples")}}}

SERVER = _route(_answer("The server.", ref("ServerMetadata")))
LIVE = _route(_answer("It lives.", ref("Live")))
READY = _route(_answer("It is ready.", ref("Ready")))
READY["responses"]["400"] = _answer("It isn't.", ref("Ready"))
MODEL_READY = _route(_answer("It is ready."))
MODEL_READY["responses"]["400"] = _answer("It isn't, or isn't there.")
ALL_STATISTICS = _route(_answer("An entry for each version that is served.", ref("Statistics")))
STATISTICS = _route(_answer("An entry for each version.", ref("Statistics")), 404, 503)
METADATA = _route(_answer("The model.", ref("ModelMetadata")), 404, 503)
CONFIG = _route(_answer("The configuration.", ref("ModelConfig")), 404, 503)

INFER = _with_headers(
    _route(
        _answer("The outputs.", ref("InferenceResponse")),
        *(*_ASKED, 403, 501),
        takes={
            _JSON: {"schema": ref("InferenceRequest"), "examples": {"served": ref("infer", "examples")}},
            _BINARY: {"schema": _RAW},
        },
        needed=True,
    )
)
INFER["responses"]["200"]["content"][_BINARY] = {"schema": _RAW}
INFER["responses"]["200"]["headers"] = {_LENGTH: {"schema": COUNT, "description": "Only where binary data follows."}}
PREDICT = _with_headers(
    _route(
        _answer("What the model says.", ref("PredictResponse")),
        *(*_ASKED, 501),
        takes={
            _JSON: {"schema": ref("PredictRequest"), "examples": {"served": ref("predict", "examples")}},
            "image/png": _PICTURE,
            "image/jpeg": _PICTURE,
            "text/plain": _TEXT,
        },
        needed=True,
    ),
    _LENGTH,
)
GENERATE = _with_headers(
    _route(_answer("The text.", ref("GenerateResponse")), *_ASKED, 501, takes=_PROMPT, needed=True), _LENGTH
)
EVENTS = _with_headers(
    _route(
        _answer(
            "An event for each piece of the text; the last says why it ended, or is an error.",
            ref("Event"),
            "text/event-stream",
        ),
        *(*_ASKED, 501),
        takes=_PROMPT,
        needed=True,
    ),
    *(_LENGTH, "Accept-Encoding"),
)

INDEX = _route(
    _answer("An entry for each model and version.", listed(ref("IndexEntry"))),
    *(400, 413),
    takes=_json("IndexRequest", ready=True),
)
LOAD = _route(_answer("The model serves."), 400, 403, 404, 413, 503, takes=_json("LoadRequest", parameters={}))
UNLOAD = _route(
    _answer("The model doesn't serve."),
    *(400, 403, 413, 503),
    takes=_json("UnloadRequest", parameters={"unload_dependents": False}),
)
NOWHERE: dict[str, Any] = {"responses": refusals(501)}

LOGGING = _route(_answer("What is set.", ref("LogSettings")))
CHANGE_LOGGING = _route(
    _answer("What is set now.", ref("LogSettings")),
    *(400, 403, 413, 501),
    takes=_json("LogChanges", log_info=True, log_verbose_level=0),
)
TRACE = _route(_answer("What is set.", ref("TraceSettings")))
MODEL_TRACE = _route(_answer("What is set.", ref("TraceSettings")), 404)
_TRACE_CHANGES = _json("TraceChanges", trace_rate="1000", log_frequency=None)
CHANGE_TRACE = _route(_answer("What is set now.", ref("TraceSettings")), 400, 403, 413, 501, takes=_TRACE_CHANGES)
CHANGE_MODEL_TRACE = _route(
    _answer("What is set now.", ref("TraceSettings")), 400, 403, 404, 413, 501, takes=_TRACE_CHANGES
)

REGIONS = _route(_answer("The regions.", listed(ref("Region"))), 403)
REGION = _route(_answer("The region, in a list.", listed(ref("Region"))), 400, 403)
REGISTER = _route(
    _answer("It can be used. `truncate -s 64 /dev/shm/hone-example` makes what the example names."),
    *(400, 403, 413),
    takes=_json("Place", key="/hone-example", offset=0, byte_size=64),
    needed=True,
)
UNREGISTER = _route(_answer("It can't be used any more."), 403)
NO_REGIONS = _route(_answer("There are none.", {"type": "array", "maxItems": 0}))
NOTHING = _route(_answer("There was none.", {"type": "array", "maxItems": 0}))

MODELS = _route(_answer("Their names.", ref("Models")))
MODEL_STATE = _route(_answer("It is ready.", ref("ModelState")), 404)
MODEL_STATE["responses"]["503"] = _answer("It isn't.", ref("ModelState"))
ALIVE = _route(_answer("It answers.", ref("Status")))

DOCUMENT = _route(_answer("OpenAPI 3.1.", {"type": "object"}))
PAGE = _route(_answer("The page.", TEXT, "text/html"))
