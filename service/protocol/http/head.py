"""What the headers of an inference request say about its body and its time."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from service.errors import InvalidRequest
from service.protocol.limits import Limits
from service.quoting import quoted

BEYOND = "the body is larger than the limit of {} bytes"
_JSON_BEYOND = "the JSON body is larger than the limit of {} bytes: send the tensors as binary data"
JSON_LENGTH = b"inference-header-content-length"
_TIMEOUT = b"x-request-timeout-ms"
_SPECIAL = frozenset({JSON_LENGTH, _TIMEOUT})


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """`json_length` is None when the whole body is JSON, 0 when none of it is. `timeout` is in seconds."""

    json_length: int | None = None
    timeout: float | None = None


_PLAIN = Head()


def read_head(fields: Mapping[bytes, bytes]) -> Head:
    """The special headers among `fields` (names in lower case). Raises InvalidRequest naming the header."""
    if _SPECIAL.isdisjoint(fields):
        return _PLAIN
    return Head(json_length=_json_length(fields.get(JSON_LENGTH)), timeout=_timeout(fields.get(_TIMEOUT)))


def body_limit(fields: Mapping[bytes, bytes], limits: Limits) -> int:
    """How many bytes the body may have, by whether it announces binary data."""
    return limits.max_binary_bytes if JSON_LENGTH in fields else limits.max_json_bytes


def beyond(fields: Mapping[bytes, bytes]) -> str:
    """What is said of a body beyond `body_limit`, whether its length was announced or found out; {} is that limit.

    Errors are made where they are raised: one that is kept would keep the frames that it went through, and what these
    had read.
    """
    return BEYOND if JSON_LENGTH in fields else _JSON_BEYOND


def _json_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > 18:
        raise InvalidRequest(f"Inference-Header-Content-Length is {_text(value)}, expected a number of bytes")
    return int(value)


def _timeout(value: bytes | None) -> float | None:
    if value is None:
        return None
    try:
        milliseconds = -1.0 if b"_" in value else float(value)  # Python's own notation isn't for headers
    except ValueError:
        milliseconds = -1.0
    if not isfinite(milliseconds) or milliseconds < 0:
        raise InvalidRequest(f"X-Request-Timeout-Ms is {_text(value)}, expected a number of milliseconds, 0 for none")
    return milliseconds / 1000 or None


def _text(value: bytes) -> str:
    return quoted(value.decode("latin-1"))
