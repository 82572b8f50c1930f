"""The one table from errors to status codes."""

from collections.abc import Mapping
from types import MappingProxyType

from service.errors import HoneError, Unavailable

HTTP_STATUS: Mapping[str, int] = MappingProxyType(
    {
        "invalid_request": 400,
        "unauthenticated": 401,
        "forbidden": 403,
        "model_not_found": 404,
        "too_large": 413,
        "quota": 429,
        "cancelled": 499,  # never sent; a word for logs, as nginx has it
        "error": 500,
        "backend_error": 500,
        "crashed_worker": 500,
        "artifact": 400,  # of those that come along with a load: as Triton has it for every load that fails
        "settings": 500,
        "unsupported": 501,
        "queue_full": 503,
        "deadline_infeasible": 503,
        "queue_timeout": 503,
        "not_ready": 503,
        "draining": 503,
        "worker_lost": 503,
        "deadline_exceeded": 504,
    }
)
"""By `HoneError.reason`, which a subclass inherits: an error without a word of its own has its parent's status."""

GRPC_STATUS: Mapping[int, str] = MappingProxyType(
    {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        404: "NOT_FOUND",
        413: "RESOURCE_EXHAUSTED",
        429: "RESOURCE_EXHAUSTED",
        499: "CANCELLED",
        500: "INTERNAL",
        501: "UNIMPLEMENTED",
        503: "UNAVAILABLE",
        504: "DEADLINE_EXCEEDED",
    }
)
"""The code of gRPC that says the same as a status of HTTP_STATUS."""

TRANSPORT_REASONS: Mapping[int, str] = MappingProxyType(
    {
        400: "invalid_request",
        404: "not_found",
        405: "method_not_allowed",
        408: "request_timeout",
        413: "too_large",
        431: "headers_too_large",
    }
)
"""The words for refusals that a door gives without an error of the engine behind them."""


def http_status(error: HoneError) -> int:
    """The HTTP status of an error; 500 for a reason that nobody gave a status."""
    return HTTP_STATUS.get(error.reason, 500)


def grpc_status(error: HoneError) -> str:
    """The name of gRPC's status code for an error."""
    return GRPC_STATUS[http_status(error)]


def retry_after(error: HoneError) -> int | None:
    """After how many seconds the same request may succeed; None when trying again is no use."""
    return error.retry_after if isinstance(error, Unavailable) else None
