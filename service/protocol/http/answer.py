"""An HTTP answer before it goes out, the same for both entrances."""

from dataclasses import dataclass

import orjson

from service.errors import HoneError
from service.protocol.status import TRANSPORT_REASONS, http_status, retry_after

_JSON = (b"content-type", b"application/json")
_BINARY = (b"content-type", b"application/octet-stream")
CLOSE = (b"connection", b"close")


_LENGTH = b"content-length"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Status, headers in the order in which they are written, and body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def success(json_length: int | None, body: bytes) -> Answer:
    """What `encode_infer` made, as an answer."""
    length = (b"content-length", b"%d" % len(body))
    if json_length is None:
        return Answer(status=200, headers=(_JSON, length), body=body)
    part = (b"inference-header-content-length", b"%d" % json_length)
    return Answer(status=200, headers=(_BINARY, length, part), body=body)


def coded(answer: Answer, coding: bytes, body: bytes) -> Answer:
    """The answer with its body in a content coding: `body` is that."""
    others = [field for field in answer.headers if field[0] != _LENGTH]
    headers = (*others, (_LENGTH, b"%d" % len(body)), (b"content-encoding", coding))
    return Answer(status=answer.status, headers=headers, body=body)


def json_answer(status: int, content: object, *more: tuple[bytes, bytes]) -> Answer:
    """Anything as JSON; `more` headers follow its type and length."""
    body = orjson.dumps(content)
    return Answer(status=status, headers=(_JSON, (b"content-length", b"%d" % len(body)), *more), body=body)


def empty_answer(status: int) -> Answer:
    """A status and nothing else, as the health routes give it."""
    return Answer(status=status, headers=((b"content-length", b"0"),), body=b"")


def refusal(error: HoneError, *more: tuple[bytes, bytes]) -> Answer:
    """An error of Hone, as the table in `status` has it."""
    seconds = retry_after(error)
    if seconds is not None:
        more = ((b"retry-after", b"%d" % seconds), *more)
    return json_answer(http_status(error), {"error": str(error), "reason": error.reason}, *more)


def transport_refusal(status: int, text: str, *more: tuple[bytes, bytes]) -> Answer:
    """A refusal by the door itself, such as an unknown path or a client that is too slow."""
    return json_answer(status, {"error": text, "reason": TRANSPORT_REASONS.get(status, "error")}, *more)


def internal_error() -> Answer:
    """A fault of Hone itself: the log has the trace, the client gets none of it."""
    return json_answer(500, {"error": "internal error", "reason": "error"})
