"""Bodies that are small JSON objects, as management routes take them."""

from typing import Any

import orjson

from service.errors import InvalidRequest
from service.protocol.http.twins import refuse_twins


def object_of(body: bytes) -> dict[str, Any]:
    """The object that a body is; an empty body is an empty one. Raises InvalidRequest."""
    if not body:
        return {}
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the JSON is malformed: {error}") from None
    if not isinstance(content, dict):
        raise InvalidRequest("expected a JSON object")
    refuse_twins(body)
    return content
