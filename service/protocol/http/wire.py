"""Answers as bytes on a connection, exactly as uvicorn writes what comes through ASGI."""

from asyncio import Transport
from collections.abc import Iterable
from functools import lru_cache

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.protocol.http.answer import CLOSE, Answer, internal_error, transport_refusal

_log = structlog.get_logger()

JOIN_BELOW = 65536
"""Bytes up to which copying a body behind its head is cheaper than writing two pieces."""

_JSON_HEAD = STATUS_LINE[200] + b"content-type: application/json\r\ncontent-length: "


def json_success(body: bytes) -> bytes:
    """The commonest answer, without making an `Answer` first: 200, JSON, and the connection stays open."""
    return b"%b%d\r\n\r\n%b" % (_JSON_HEAD, len(body), body)


def write_answer(
    transport: Transport, answer: Answer, default_headers: Iterable[tuple[bytes, bytes]], keep_alive: bool
) -> None:
    """Write any answer; `default_headers` are uvicorn's own (date, server) and come first."""
    headers = (*default_headers, *answer.headers)
    if not keep_alive and CLOSE not in headers:
        headers = (*headers, CLOSE)
    head = _head(answer.status, headers)
    if len(answer.body) > JOIN_BELOW:
        transport.writelines((head, answer.body))
    else:
        transport.write(head + answer.body)


@lru_cache(256)
def _head(status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    return b"%b%b\r\n" % (STATUS_LINE[status], lines)


def head_without_upgrade(method: bytes, url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A request's head as it came, except that it offers no other protocol."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers if header[0] != b"upgrade"])
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, url, lines)


def headers_too_large(limit: int) -> Answer:
    """More headers, or trailers, than a connection may send."""
    return transport_refusal(431, f"the headers are larger than the limit of {limit} bytes", CLOSE)


def parser_refusal(error: httptools.HttpParserError) -> Answer:
    """The client's fault, unless one of our callbacks failed on something else than what it sent."""
    cause = error.__context__
    if isinstance(error, httptools.HttpParserCallbackError) and not isinstance(
        cause, httptools.HttpParserError | UnicodeDecodeError
    ):
        _log.error("can't handle a request", exc_info=cause)
        answer = internal_error()
        return Answer(status=answer.status, headers=(*answer.headers, CLOSE), body=answer.body)
    return transport_refusal(400, "this isn't a valid HTTP request", CLOSE)
