"""What each route takes and answers, as FastAPI's `openapi_extra`."""

from collections.abc import Sequence
from typing import Any

from service.protocol.http.openapi.terms import COUNT, FILE, TEXT, Schema, described, listed, ref

_JSON, _BINARY = "application/json", "application/octet-stream"

REFUSALS = {
    400: (
        "InvalidRequest",
        "The request can't be understood, doesn't fit the model, or asks for one that can't be loaded.",
    ),
    403: (
        "Forbidden",
        "Clients may not, as this server was started, or a page from elsewhere asks (header Origin).",
    ),
    404: ("ModelNotFound", "There is no such model or version."),
    408: ("TooSlow", "The request took too long to arrive."),
    413: ("TooLarge", "The body, or what would be answered, is larger than the limit."),
    431: ("HeadersTooLarge", "The headers are larger than the limit."),
    500: ("Failure", "The server or the model's runtime failed."),
    501: ("Unsupported", "This server, or this model, can't do it."),
    503: ("Unavailable", "Not now: too much is waiting, or the model or the server isn't ready."),
    504: ("DeadlineExceeded", "Admitted, but not finished in the time that was granted."),
}
"""The errors by their status: what they are called here, and what they mean."""

ANYWHERE = (408, 431, 500)
"""What any request may be answered."""

TIMEOUT, LENGTH = "X-Request-Timeout-Ms", "Inference-Header-Content-Length"
CODINGS = ("Content-Encoding", "Accept-Encoding")
HEADERS: dict[str, tuple[Schema, str]] = {
    TIMEOUT: ({"type": "number", "minimum": 0}, "Milliseconds until the answer has lost its use; 0: none."),
    LENGTH: (COUNT, "Length of the JSON part when binary data follows it; 0 without JSON."),
    CODINGS[0]: ({"enum": ["gzip", "deflate", "identity", ""]}, "How the body is compressed."),
    CODINGS[1]: (TEXT, "Just `gzip`, or just `deflate`, has the answer compressed."),
}
"""The request headers that mean something here."""


def refusals(*codes: int) -> dict[str, Schema]:
    """The errors that a route may answer with."""
    return {str(code): ref(REFUSALS[code][0], "responses") for code in codes}


def _answer(text: str, schema: Schema | None = None, media: str = _JSON) -> dict[str, Any]:
    """A response; empty without a schema."""
    return {"description": text, **({"content": {media: {"schema": schema}}} if schema else {})}


def _route(
    success: dict[str, Any],
    *refused: int,
    no: dict[str, Any] | None = None,
    takes: dict[str, Schema] | None = None,
    needed: bool = False,
    headers: Sequence[str] = (),
) -> dict[str, Any]:
    """A route that answers 200, or `no` with the status of the same meaning, or refuses.

    It may read `headers`, and a body, by its media type.
    """
    parameters = {"parameters": [ref(name, "parameters") for name in headers]} if headers else {}
    body = {"requestBody": {"required": needed, "content": takes}} if takes else {}
    return {**parameters, **body, "responses": {"200": success, **(no or {}), **refusals(*refused)}}


def _json(name: str, **example: Any) -> dict[str, Schema]:
    """A body of JSON."""
    return {_JSON: {"schema": ref(name), **({"example": example} if example else {})}}


def _shown(name: str, example: str) -> dict[str, Schema]:
    """The same with an example of what is served."""
    return {_JSON: {"schema": ref(name), "examples": {"served": ref(example, "examples")}}}


_RAW = {"schema": described(FILE, f"JSON and then raw tensors; {LENGTH} is the length of the JSON.")}
_PICTURE = {"schema": described(FILE, "A file, for a model whose card takes pictures.")}
_TEXT = {"schema": described(TEXT, "For a model whose only input is a text, or whose card tokenizes one.")}
_OUTPUTS = {
    "description": "The outputs.",
    "headers": {LENGTH: {"schema": COUNT, "description": "Only where binary data follows."}},
    "content": {_JSON: {"schema": ref("InferenceResponse")}, _BINARY: _RAW},
}
_EVENTS = "An event for each piece of the text; the last says why it ended, or is an error."
_ASKED = (400, 404, 413, 503, 504)

SERVER = _route(_answer("The server.", ref("ServerMetadata")))
LIVE = _route(_answer("It lives.", ref("Live")), no={"400": _answer("It doesn't.", ref("Live"))})
READY = _route(_answer("It is ready.", ref("Ready")), no={"400": _answer("It isn't.", ref("Ready"))})
MODEL_READY = _route(_answer("It is ready."), no={"400": _answer("It isn't, or isn't there.")})
ALL_STATISTICS = _route(_answer("An entry for each version that is served.", ref("Statistics")))
STATISTICS = _route(_answer("An entry for each version.", ref("Statistics")), 404, 503)
METADATA = _route(_answer("The model.", ref("ModelMetadata")), 404, 503)
CONFIG = _route(_answer("The configuration.", ref("ModelConfig")), 404, 503)

INFER = _route(
    _OUTPUTS,
    *(*_ASKED, 403),
    takes={**_shown("InferenceRequest", "infer"), _BINARY: _RAW},
    needed=True,
    headers=(TIMEOUT, LENGTH, *CODINGS),
)
PREDICT = _route(
    _answer("What the model says.", ref("PredictResponse")),
    *(*_ASKED, 501),
    takes={
        **_shown("PredictRequest", "predict"),
        "image/png": _PICTURE,
        "image/jpeg": _PICTURE,
        "text/plain": _TEXT,
    },
    needed=True,
    headers=(TIMEOUT, *CODINGS),
)
GENERATE = _route(
    _answer("The text.", ref("GenerateResponse")),
    *(*_ASKED, 501),
    takes=_shown("GenerateRequest", "generate"),
    needed=True,
    headers=(TIMEOUT, *CODINGS),
)
EVENTS = _route(
    _answer(_EVENTS, ref("Event"), "text/event-stream"),
    *(*_ASKED, 501),
    takes=_shown("GenerateRequest", "generate"),
    needed=True,
    headers=(TIMEOUT, CODINGS[0]),
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
UNSUPPORTED: dict[str, Any] = {"responses": refusals(501)}

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
MODEL_STATE = _route(
    _answer("It is ready.", ref("ModelState")), 404, no={"503": _answer("It isn't.", ref("ModelState"))}
)
ALIVE = _route(_answer("It answers.", ref("Status")))

DOCUMENT = _route(_answer("OpenAPI 3.1.", {"type": "object"}))
PAGE = _route(_answer("The page.", TEXT, "text/html"))
